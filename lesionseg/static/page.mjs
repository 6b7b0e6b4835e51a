// The page: photographs come in, wait for the worker one after the other, and are shown.
import {chooseFolder, give, made, scaled, writeInto} from './browser.mjs'
import {drawSynthetic} from './synthetic.mjs'
import {resize, zip} from './pixels.mjs'
import {createEditor} from './editor.mjs'

const $ = id => document.getElementById(id)
const text = id => {
  const content = $(id).textContent
  $(id).remove() // ten megabytes that nobody needs twice
  return content
}
const LONG = 1024 // pixels of the longer side of what is shown and painted on
const AS_SHOWN = {imageOrientation: 'from-image', colorSpaceConversion: 'none'}
const RAMP = [[33, 17, 78], [125, 36, 130], [214, 69, 108], [253, 159, 108], [251, 247, 184]]
const graph = JSON.parse(text('graph'))
const side = graph.size

// ---- The worker: one question, one answer

const asked = new Map()
const script = new Blob([text('worker')], {type: 'text/javascript'})
const worker = new Worker(URL.createObjectURL(script))

function ask(task, message, transfer = []) {
  const id = asked.size ? Math.max(...asked.keys()) + 1 : 1
  worker.postMessage({id, task, ...message}, transfer)
  return new Promise((resolve, reject) => asked.set(id, {resolve, reject}))
}

worker.onerror = event => complain(`The model stopped (${event.message}): load the page anew.`)
worker.onmessage = ({data: {id, error, ...answer}}) => {
  const {resolve, reject} = asked.get(id)
  asked.delete(id)
  if (error) reject(new Error(error))
  else resolve(answer)
}

// ---- What there is, and what is said about it

const photos = [] // {file, name, tta, probs, width, height, values: the mask if it was corrected}
let current = null, editor = null, habits = {}, drawn = 0

function say(words) { $('said').textContent = words }

function complain(words) {
  const note = made('p', {role: 'alert'})
  const close = made('button', {type: 'button', textContent: 'Close'})
  close.onclick = () => note.remove()
  note.append(words, close)
  $('notes').append(note)
}

// ---- Photographs come in

function named(file) { // a name of its own: masks are called after it
  const stem = file.name.replace(/\.[^.]+$/, '') || 'photograph'
  const taken = name => photos.some(photo => photo.name.toLowerCase() === name.toLowerCase())
  let name = stem
  for (let number = 2; taken(name); number++) name = `${stem}-${number}`
  return name
}

function add(files) {
  for (const file of files) photos.push({file, name: named(file)})
  work()
}

async function addSynthetic() {
  for (let i = 0; i < 3; i++) {
    const name = `synthetic_${++drawn}`
    const canvas = drawSynthetic(drawn)
    const blob = await new Promise(resolve => canvas.toBlob(resolve))
    add([new File([blob], `${name}.png`, {type: 'image/png'})])
  }
}

const waits = photo => !photo.probs || photo.tta !== $('tta').checked
let working = false

async function work() { // one after the other, the one that is looked at first
  if (working) return
  working = true
  for (;;) {
    const next = current && waits(current) ? current : photos.find(waits)
    if (!next) break
    $('work').hidden = false
    $('busy').hidden = false
    say(`${photos.filter(waits).length} to do …`)
    try { await segment(next) }
    catch (error) { refuse(next, error) }
  }
  working = false
  $('busy').hidden = true
  say(photos.length ? `${photos.length === 1 ? 'The mask is' : 'All masks are'} there.` : '')
  arrange()
}

async function segment(photo) {
  const tta = $('tta').checked
  const bitmap = await createImageBitmap(photo.file, AS_SHOWN).catch(() => {
    throw new Error('is no photograph that this browser can read: save it as JPEG or PNG.')
  })
  if (!photo.thumb) photo.thumb = scaled(bitmap, 200)
  Object.assign(photo, await ask('segment', {bitmap, tta}, [bitmap]), {tta, map: null})
  photo.undecided = photo.probs.filter(p => p > .1 && p < .9).length/photo.probs.length
  if (!photos.includes(photo)) return // removed meanwhile
  if (!current || current === photo) await show(photo)
  arrange()
}

function refuse(photo, error) {
  complain(`${photo.file.name} ${error.message}`)
  remove(photo)
}

function remove(photo) {
  const at = photos.indexOf(photo)
  if (at < 0) return
  photos.splice(at, 1)
  say(`${photo.name} is removed.`)
  if (current === photo) {
    close()
    current = null
    const left = photos.filter(other => other.probs)
    if (left.length) show(left[Math.min(at, left.length - 1)])
  }
  arrange()
}

// ---- What is shown

const recent = [] // those whose picture is kept

async function show(photo) {
  if (current !== photo) close()
  current = photo
  if (!photo.picture) {
    const bitmap = await createImageBitmap(photo.file, AS_SHOWN)
    photo.picture = scaled(bitmap, LONG)
    bitmap.close()
    recent.push(photo)
    if (recent.length > 8) Object.assign(recent.shift(), {picture: null, map: null})
  }
  if (current !== photo) return
  enlarge(photo)
  arrange()
  draw()
}

function enlarge(photo) { // its probabilities, as large as its picture
  const {width, height} = photo.picture
  photo.map ??= resize(photo.probs, side, side, width, height)
}

const threshold = () => +$('threshold').value
const mode = () => document.querySelector('[name=mode]:checked').value

function maskOf(photo) {
  if (photo.values) return photo.values
  const level = threshold()
  const mask = new Uint8Array(photo.map.length)
  for (let i = 0; i < mask.length; i++) if (photo.map[i] > level) mask[i] = 1
  return mask
}

// A color for each number from 0 to 255, and how much of it lies over the photograph.
const COLORS = Array.from({length: 256}, (_, i) => {
  const [at, part] = [Math.min(3, Math.floor(i/64)), i/64 - Math.min(3, Math.floor(i/64))]
  return RAMP[at].map((value, c) => value + part*(RAMP[at + 1][c] - value))
})

const pixel = (r, g, b, a) => a << 24 | b << 16 | g << 8 | r
const CYAN = pixel(0, 229, 255, 255), TINT = pixel(0, 229, 255, 110), DARK = pixel(0, 20, 26, 170)
const HEAT = COLORS.map(color => pixel(...color, 190))

// What lies over the photograph: plain loops, since the slider is to follow the hand.
const layers = {
  photo() {},
  mask(out, mask) { for (let i = 0; i < out.length; i++) if (mask[i]) out[i] = TINT },
  probability(out, mask, map) {
    for (let i = 0; i < out.length; i++) out[i] = HEAT[Math.round(255*map[i])]
  },
  outline(out, mask, map, width) { // cyan inside, dark outside, so that it shows on every skin
    const thick = Math.max(2, Math.round(1.7*width/($('view').clientWidth || width)))
    const far = thick*width
    for (let row = far; row < out.length - far; row += width)
      for (let i = row + thick; i < row + width - thick; i++) {
        const value = mask[i]
        if (mask[i - thick] !== value || mask[i + thick] !== value || mask[i - far] !== value ||
            mask[i + far] !== value) out[i] = value ? CYAN : DARK
      }
  },
}

const over = document.createElement('canvas').getContext('2d', {willReadFrequently: true})

function draw() {
  const {picture, map} = current
  const {width, height} = picture
  const mask = maskOf(current)
  for (const canvas of [over.canvas, $('view')])
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height})
  const image = over.createImageData(width, height)
  layers[mode()](new Int32Array(image.data.buffer), mask, map, width)
  over.putImageData(image, 0, 0)
  const context = $('view').getContext('2d')
  context.drawImage(picture, 0, 0)
  context.drawImage(over.canvas, 0, 0)
  tell(measure(current, mask))
}

// ---- Numbers

function measure({width, height, picture, probs, undecided}, mask) {
  let [left, top, right, bottom, area] = [Infinity, Infinity, -1, -1, 0]
  for (let y = 0, i = 0; y < picture.height; y++) for (let x = 0; x < picture.width; x++, i++) {
    if (!mask[i]) continue
    area++
    if (x < left) left = x
    if (x > right) right = x
    if (y < top) top = y
    bottom = y
  }
  const inside = probs.filter(p => p > threshold())
  const [across, down] = [width/picture.width, height/picture.height]
  return {
    share: area/mask.length, undecided, sure: inside.reduce((sum, p) => sum + p, 0)/inside.length,
    left: Math.round(left*across), top: Math.round(top*down),
    right: Math.round((right + 1)*across), bottom: Math.round((bottom + 1)*down)}
}

const percent = share => `${(100*share).toFixed(1)} %`

function tell({share, sure, undecided, left, top, right, bottom}) {
  $('level').textContent = threshold().toFixed(2)
  $('area').textContent = share ? percent(share) : 'nothing'
  $('box').textContent = share ? `${right - left} × ${bottom - top} px` : '–'
  $('corner').textContent = share ? `x ${left}, y ${top}` : '–'
  $('sure').textContent = current.values ? 'by hand' : share ? percent(sure) : '–'
  $('undecided').textContent = percent(undecided)
  $('view').setAttribute('aria-label', `${current.name} with its ${mode()}: ` + (share ?
    `the lesion is ${percent(share)} of the image, ${$('box').textContent}` : 'no lesion found'))
}

// ---- Everything around the photograph

function tile(photo) {
  const item = document.createElement('li')
  const button = made('button', {type: 'button', title: photo.name})
  const words = [photo.name, photo.values ? 'corrected' : photo.probs ?
    `${percent(photo.undecided)} undecided` : 'waits …']
  button.append(photo.thumb ?? made('canvas', {}),
                ...words.map(textContent => made('span', {textContent})))
  button.setAttribute('aria-current', photo === current)
  button.disabled = !photo.probs
  button.onclick = () => show(photo)
  item.append(button)
  return item
}

function moreTile() {
  const item = document.createElement('li')
  item.innerHTML = `<button type="button" class="more" data-do="choose"><b>+</b>Add more</button>`
  return item
}

function arrange() {
  $('work').hidden = !photos.length
  $('start').hidden = photos.length > 0
  const held = document.activeElement?.closest('#film') ? current : null
  $('film').replaceChildren(moreTile(), ...photos.map(tile))
  const active = $('film').querySelector('[aria-current=true]')
  if (held) active?.focus()
  active?.scrollIntoView({block: 'nearest', inline: 'nearest'})
  const ready = Boolean(current?.probs)
  for (const name of ['edit', 'download', 'zip', 'folder', 'remove'])
    document.querySelector(`aside [data-do=${name}]`).disabled = !ready
  if (!current) return
  $('name').textContent = current.name
  $('size').textContent = ready ? `${current.width} × ${current.height} pixels` : ''
  $('threshold').disabled = Boolean(current.values)
  document.querySelector('[data-do=restore]').hidden = !current.values
  document.querySelector('[data-do=edit]').textContent = editor ? 'Done' : 'Correct by hand'
}

function step(by) {
  const ready = photos.filter(photo => photo.probs)
  const next = ready[ready.indexOf(current) + by]
  if (!next) return
  const editing = Boolean(editor)
  show(next).then(() => { if (editing) edit() })
}

// ---- Correcting

function edit() {
  if (editor || !current?.map) return
  const {picture, map} = current
  const {width, height} = picture
  editor = createEditor($('editor'), {
    ...habits, image: picture, width, height, values: maskOf(current), threshold: threshold(),
    probs: Uint8Array.from(map, p => Math.round(255*p))}, {
    changed(values) {
      current.values = values
      tell(measure(current, values))
      arrange()
    },
    right: close,
    ...photos.length > 1 && {previous: () => step(-1), next: () => step(1)}})
  $('work').className = 'editing'
  $('editor').hidden = false
  $('editor').querySelector('canvas').focus()
  arrange()
}

function close() {
  if (!editor) return
  habits = editor.settings // brush and tool, for the next one
  editor = null
  $('editor').hidden = true
  $('editor').replaceChildren()
  $('work').className = ''
  arrange()
  draw()
}

function restore() {
  current.values = null
  close()
  arrange()
  draw()
}

// ---- Files to take away

async function fileOf(photo) { // its mask at its own size
  const {width, height, values, probs} = photo
  const scale = LONG/Math.max(width, height)
  const shown = [width, height].map(length => Math.max(1, Math.round(length*scale)))
  const from = values ? shown : [side, side]
  const {bytes} = await ask('mask', {
    values: values ?? probs, from, width, height, threshold: values ? .5 : threshold()})
  return bytes
}

async function download() {
  give(await fileOf(current), `${current.name}_segmentation.png`, 'image/png')
  say(`${current.name}_segmentation.png is written.`)
}

async function* allFiles() {
  const ready = photos.filter(photo => photo.probs)
  for (const [i, photo] of ready.entries()) {
    say(`Writing ${i + 1} of ${ready.length} …`)
    yield [`${photo.name}_segmentation.png`, await fileOf(photo), photo]
  }
}

const counted = number => `${number} ${number === 1 ? 'mask' : 'masks'}`

async function downloadAll() {
  const files = []
  for await (const file of allFiles()) files.push(file)
  give(zip(files), 'masks.zip', 'application/zip')
  say(`masks.zip holds ${counted(files.length)}.`)
}

async function writeAll() { // where the browser can; what others wrote there is set aside
  try {
    const folder = await chooseFolder()
    if (!folder) return
    let number = 0
    for await (const [name, bytes, photo] of allFiles()) {
      await writeInto(folder, name, bytes, photo.written)
      photo.written = bytes
      number++
    }
    say(`${folder.name || 'The folder'} holds ${counted(number)}.`)
  } catch (error) { complain(`Not all masks are written (${error.message}): take the zip.`) }
}

// ---- What people do

const deeds = {
  choose: () => $('files').click(), synthetic: addSynthetic, edit: () => editor ? close() : edit(),
  restore, download, zip: downloadAll, folder: writeAll, remove: () => remove(current)}
document.querySelector('[data-do=folder]').hidden = !window.showDirectoryPicker

document.addEventListener('click', event => {
  const button = event.target.closest('[data-do]')
  if (button && !button.closest('#editor')) deeds[button.dataset.do]()
})

$('files').onchange = () => {
  add($('files').files)
  $('files').value = ''
}

$('threshold').oninput = draw
window.onresize = () => { if (current?.map && !editor) draw() }
$('tta').onchange = work
$('modes').onchange = () => {
  $('ramp').hidden = mode() !== 'probability'
  close()
  draw()
}

document.addEventListener('paste', event => {
  if (event.clipboardData.files.length) add(event.clipboardData.files)
})
document.addEventListener('dragover', event => {
  event.preventDefault()
  $('drop').hidden = false
})
document.addEventListener('dragleave', event => {
  if (!event.relatedTarget) $('drop').hidden = true
})
document.addEventListener('drop', event => {
  event.preventDefault()
  $('drop').hidden = true
  add(event.dataTransfer.files)
})

document.addEventListener('keydown', event => {
  if (event.key === 'Escape') return close()
  const busy = event.target.closest('input, #editor')
  if (busy || event.ctrlKey || event.metaKey || event.altKey) return
  const modes = document.querySelectorAll('[name=mode]')
  if (event.key === 'ArrowRight') step(1)
  else if (event.key === 'ArrowLeft') step(-1)
  else if (event.key === 'e') { event.preventDefault(); edit() }
  else if (current && modes[event.key - 1]) modes[event.key - 1].click()
})

ask('load', {graph, weights: text('weights')}).then(
  () => { if (!working) say('The model is ready.') },
  error => complain(`The model cannot be used (${error.message}): try a newer browser.`))
