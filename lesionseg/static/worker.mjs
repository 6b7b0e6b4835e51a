// Beside the page, so that it stays alive: photographs in, probabilities and files out. Each
// message is {id, task, …}; the answer has the same id.
import {forward} from './network.mjs'
import {png, resize, squash} from './pixels.mjs'

let graph, constants

// From half precision (sign, 5 bits of exponent, 10 of fraction) to single (8 and 23): all bits
// move to their places; there the exponent counts from 15, here from 127.
function fromHalf(halves) {
  const bits = new Int32Array(halves), numbers = new Float32Array(bits.buffer)
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] & 32768) << 16 | (bits[i] & 32767) << 13
  for (let i = 0; i < bits.length; i++) numbers[i] *= 2**112
  return numbers
}

// Unpack the constants of a graph, each [name, shape, 'half' or 'float', start, length].
function constantsOf(graph, bytes) {
  return Object.fromEntries(graph.constants.map(([name, shape, kind, start, length]) => {
    const {buffer} = bytes.slice(start, start + length)
    const data = kind === 'half' ? fromHalf(new Uint16Array(buffer)) : new Float32Array(buffer)
    return [name, {data, shape}]
  }))
}

// The numbers of the network, and one image for nothing: the first is slow, as it is compiled.
function load(message) {
  graph = message.graph
  const letters = atob(message.weights), bytes = new Uint8Array(letters.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i)
  constants = constantsOf(graph, bytes)
  forward(graph, constants, new Float32Array(3*64*64), 64)
  return {}
}

// A plane mirrored along its diagonal, across or down, and so are the images made of such.
function mirrored(planes, side, how) {
  const swap = {
    diagonal: (y, x) => x*side + y, across: (y, x) => y*side + side - 1 - x,
    down: (y, x) => (side - 1 - y)*side + x}[how]
  const out = new Float32Array(planes.length)
  for (let at = 0; at < planes.length; at += side*side)
    for (let y = 0; y < side; y++) for (let x = 0; x < side; x++)
      out[at + y*side + x] = planes[at + swap(y, x)]
  return out
}

// Probabilities of an image; with several `ways` the mean over all mirror images.
function predict(image, ways) {
  const side = graph.size
  if (!ways.length) return forward(graph, constants, image, side)
  const [way, ...others] = ways
  const plain = predict(image, others)
  const turned = mirrored(predict(mirrored(image, side, way), others), side, way)
  return plain.map((p, i) => (p + turned[i])/2)
}

function pixelsOf(bitmap) {
  const {width, height} = bitmap
  const context = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true})
  context.drawImage(bitmap, 0, 0)
  bitmap.close()
  return context.getImageData(0, 0, width, height).data
}

function segment({bitmap, tta}) {
  const {width, height} = bitmap
  const pixels = pixelsOf(bitmap)
  for (let i = 3; i < pixels.length; i += 4)
    if (pixels[i] < 255) throw new Error('has transparent pixels: save it without.')
  const image = squash(pixels, width, height, graph.size)
  return {probs: predict(image, tta ? ['diagonal', 'across', 'down'] : []), width, height}
}

// The mask of a photograph at its own size: from probabilities or from a mask of another size.
async function mask({values, from, width, height, threshold}) {
  const large = resize(values, ...from, width, height)
  return {bytes: await png(large.map(value => value > threshold), width, height)}
}

onmessage = async ({data: {id, task, ...message}}) => {
  try { postMessage({id, ...await {load, segment, mask}[task](message)}) }
  catch (error) { postMessage({id, error: error.message}) }
}
