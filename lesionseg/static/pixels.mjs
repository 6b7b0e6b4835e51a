// Pixels in plain JavaScript: Pillow's bilinear filter, and files of what comes out of it.

// One axis of the filter: for each new pixel where it begins to look, and the weights of what it
// sees: a triangle, as wide as the step between new pixels. `span` is how much of the `length` old
// pixels is there (the last one may be a part).
function axis(length, span, to) {
  const step = span/to
  const reach = Math.max(step, 1)
  return Array.from({length: to}, (_, i) => {
    const center = (i + .5)*step
    const low = Math.max(0, Math.trunc(center - reach + .5))
    const high = Math.min(length, Math.trunc(center + reach + .5))
    const weights = Float64Array.from({length: high - low}, (_, k) =>
      Math.max(0, 1 - Math.abs((low + k + .5 - center)/reach)))
    const sum = weights.reduce((a, b) => a + b)
    return [low, weights.map(weight => weight/sum)]
  })
}

// Resize one plane of w × h numbers: across, then down. `keep` is what to do with each number.
export function resize(plane, w, h, to, down, spans = [w, h], keep = value => value) {
  const rows = new Float32Array(to*h)
  const columns = axis(w, spans[0], to)
  for (let y = 0; y < h; y++) for (let x = 0; x < to; x++) {
    const [low, weights] = columns[x]
    let sum = 0
    for (let k = 0, at = y*w + low; k < weights.length; k++, at++) sum += weights[k]*plane[at]
    rows[y*to + x] = keep(sum)
  }
  const out = new Float32Array(to*down)
  axis(h, spans[1], down).forEach(([low, weights], y) => {
    const row = out.subarray(y*to, (y + 1)*to)
    weights.forEach((weight, k) => {
      for (let x = 0, at = (low + k)*to; x < to; x++, at++) row[x] += weight*rows[at]
    })
    for (let x = 0; x < to; x++) row[x] = keep(row[x])
  })
  return out
}

// The three planes of an image of w × h pixels (red, green, blue, alpha, …), each the mean of
// blocks of across × down pixels, as Pillow does before it filters what is much too large.
function reduced(pixels, w, h, across, down) {
  const [wide, high] = [Math.ceil(w/across), Math.ceil(h/down)]
  const planes = [0, 1, 2].map(() => new Float32Array(wide*high))
  const [red, green, blue] = planes
  for (let y = 0, from = 0; y < h; y++) for (let x = 0; x < w; x++, from += 4) {
    const to = (y/down | 0)*wide + (x/across | 0)
    red[to] += pixels[from]
    green[to] += pixels[from + 1]
    blue[to] += pixels[from + 2]
  }
  const size = (i, block, length) => Math.min(block, length - i*block)
  for (const plane of planes) for (let y = 0; y < high; y++) for (let x = 0; x < wide; x++) {
    const i = y*wide + x
    plane[i] = Math.floor(plane[i]/(size(x, across, w)*size(y, down, h)) + .5)
  }
  return {planes, wide, high}
}

// What the network sees of an image: three planes of side × side numbers from 0 to 1.
export function squash(pixels, w, h, side) {
  const [across, down] = [w, h].map(length => Math.max(1, Math.floor(length/side/3)))
  const {planes, wide, high} = reduced(pixels, w, h, across, down)
  const byte = value => Math.floor(value + .5) // as Pillow rounds after each axis
  const out = new Float32Array(3*side*side)
  planes.forEach((plane, c) => out.set(
    resize(plane, wide, high, side, side, [w/across, h/down], byte), c*side*side))
  return out.map(value => value/255)
}

const CRC = Uint32Array.from({length: 256}, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ n >>> 1 : n >>> 1
  return n
})

function crc(bytes) {
  let sum = -1
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ sum >>> 8
  return ~sum >>> 0
}

// Bytes of whole numbers, each [value, how many bytes]; large end first if `big`.
function packed(fields, big = false) {
  return Uint8Array.from(fields.flatMap(([value, size]) => {
    const bytes = Array.from({length: size}, (_, i) => value/256**i & 255)
    return big ? bytes.reverse() : bytes
  }))
}

const ascii = text => new TextEncoder().encode(text)

function joined(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  parts.reduce((at, part) => { out.set(part, at); return at + part.length }, 0)
  return out
}

// A mask, 0 or 1 for each pixel, as a PNG file of black and white.
export async function png(mask, width, height) {
  const lines = new Uint8Array(height*(width + 1)) // each begins with its filter: none
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++)
    lines[y*(width + 1) + x + 1] = mask[y*width + x] ? 255 : 0
  const deflated = new Blob([lines]).stream().pipeThrough(new CompressionStream('deflate'))
  const body = new Uint8Array(await new Response(deflated).arrayBuffer())

  const chunk = (name, data) => {
    const content = joined([ascii(name), data])
    return joined([packed([[data.length, 4]], true), content, packed([[crc(content), 4]], true)])
  }
  const head = packed([[width, 4], [height, 4], [8, 1], [0, 1], [0, 1], [0, 1], [0, 1]], true)
  return joined([Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), chunk('IHDR', head),
                 chunk('IDAT', body), chunk('IEND', new Uint8Array())])
}

// A zip of files, each [name, bytes]: nothing is compressed, since PNG files are already.
export function zip(files) {
  const heads = [], parts = []
  let at = 0
  for (const [name, bytes] of files) {
    const path = ascii(name)
    const fields = [[20, 2], [0x800, 2], [0, 2], [0, 2], [0x21, 2], [crc(bytes), 4],
                    [bytes.length, 4], [bytes.length, 4], [path.length, 2], [0, 2]]
    const head = packed([[0x04034b50, 4], ...fields])
    heads.push(packed([[0x02014b50, 4], [20, 2], ...fields, [0, 2], [0, 2], [0, 2], [0, 4],
                       [at, 4]]), path)
    parts.push(head, path, bytes)
    at += head.length + path.length + bytes.length
  }
  const table = joined(heads)
  const end = packed([[0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2],
                      [table.length, 4], [at, 4], [0, 2]])
  return joined([...parts, table, end])
}
