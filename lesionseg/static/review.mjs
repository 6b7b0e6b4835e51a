// The brush of review.html: a click opens a photograph and its mask in the editor. What is painted
// goes into the folder of the masks if somebody has chosen it, else it waits for the zip.
import {chooseFolder, contentOf, give, made, scaled, writeInto} from './browser.mjs'
import {png, resize, zip} from './pixels.mjs'
import {createEditor} from './editor.mjs'

const LONG = 1024 // pixels of the longer side of what is painted on
const $ = id => document.getElementById(id)
const items = [...document.querySelectorAll('li[data-id]')]
const waiting = new Map() // masks that are in no folder yet: PNG files by name
let folder = null // as the browser hands it out
let desk = null // what is open: {item, name, photo, size, whole, start, saved, known, editor}
let settings = {} // brush and tool, for the next one
let unsaved = false

// ---- One thing after the other; what goes wrong is said

let last = Promise.resolve()

function act(what) {
  last = last.then(what).catch(error => say(error.message))
}

function say(words) {
  $('said').textContent = words
  if (desk) desk.editor.say(words)
}

// ---- Masks

const bytesOf = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0))
const nameOf = item => `${item.dataset.id}_segmentation.png`

async function pictureOf(item) {
  const photo = new Image()
  photo.src = item.querySelector('a').href
  await photo.decode().catch(() => {
    throw new Error(`${decodeURI(photo.src)} is gone, or of a kind that this browser cannot show: ` +
                    'correct it in a notebook.')
  })
  return photo
}

async function decoded(file, size) { // 0 or 1 for each pixel; empty if it has another size
  const mask = new Uint8Array(size[0]*size[1])
  const image = file && await createImageBitmap(new Blob([file]), {colorSpaceConversion: 'none'})
  if (image?.width !== size[0] || image?.height !== size[1]) return mask
  const context = made('canvas', {width: size[0], height: size[1]}).getContext('2d')
  context.drawImage(image, 0, 0)
  const {data} = context.getImageData(0, 0, ...size)
  for (let i = 0; i < mask.length; i++) mask[i] = data[4*i] > 127 && data[4*i + 3] > 127
  return mask
}

// The painted mask at the photograph's size; where nothing was painted, the mask as it was.
function merged({whole, start, size, photo}, painted) {
  const large = [photo.naturalWidth, photo.naturalHeight]
  const changed = resize(painted.map((value, i) => value ^ start[i]), ...size, ...large)
  const values = resize(painted, ...size, ...large)
  return whole.map((value, i) => changed[i] > 0 ? values[i] > .5 : value)
}

// ---- Opening, painting, keeping

async function open(item) {
  const photo = await pictureOf(item)
  const full = [photo.naturalWidth, photo.naturalHeight]
  const name = nameOf(item)
  const known = waiting.get(name) ??
    (folder ? await contentOf(folder, name) : bytesOf(item.dataset.mask))
  const whole = await decoded(known, full)
  const image = scaled(photo, LONG)
  const size = [image.width, image.height]
  const start = Uint8Array.from(resize(whole, ...full, ...size), value => value > .5 ? 1 : 0)
  if (!$('desk').open) $('desk').showModal()
  const editor = createEditor($('editor'), {
    ...settings, image, width: size[0], height: size[1], values: start, probs: null}, {
    changed: () => { unsaved = true; tell() },
    previous: () => act(() => step(-1)), next: () => act(() => step(1)),
    right: () => act(() => step(1, true)), save: () => act(keep)})
  desk = {item, name, photo, size, whole, start, saved: start, known, editor}
  $('editor').querySelector('canvas').focus()
  tell()
}

function tell(more = '') {
  const share = 100*desk.editor.read().reduce((sum, value) => sum + value, 0)/desk.start.length
  say(`${items.indexOf(desk.item) + 1} of ${items.length}: ${desk.item.dataset.id}, ` +
      `${share.toFixed(1)} % lesion. ${more}`)
}

async function keep(right = false) { // `right`: somebody has looked, also if nothing was painted
  if (!desk) return
  const {item, name, photo, editor} = desk
  const painted = editor.read()
  if (!right && painted.every((value, i) => value === desk.saved[i])) return tell()
  const full = [photo.naturalWidth, photo.naturalHeight]
  const file = await png(merged(desk, painted), ...full)
  await store(name, file, desk.known)
  Object.assign(desk, {saved: painted, known: file})
  redraw(item, photo, painted, desk.size)
  tell(folder ? 'Written.' : 'Kept for the zip.')
}

async function store(name, file, known) {
  waiting.set(name, file)
  unsaved = true
  if (folder) try {
    await writeInto(folder, name, file, known ?? undefined)
    waiting.delete(name)
    unsaved = waiting.size > 0
  } catch (error) {
    folder = null
    throw new Error(`${name} cannot be written there (${error.message}): take the zip.`)
  } finally { arrange() }
  else arrange()
}

async function step(by, right) {
  await keep(right)
  settings = desk.editor.settings
  const next = items[items.indexOf(desk.item) + by]
  if (next) await open(next)
  else tell('There is no other.')
}

function redraw(item, photo, mask, size) { // its small picture, with the new outline
  const canvas = scaled(photo, 320)
  const {width, height} = canvas
  const values = resize(mask, ...size, width, height).map(value => value > .5)
  const lines = new ImageData(width, height)
  for (let i = 2*width; i < values.length - 2*width; i++)
    if (values[i] && [2, -2, 2*width, -2*width].some(way => !values[i + way]))
      lines.data.set([0, 255, 255, 255], 4*i)
  const over = made('canvas', {width, height})
  over.getContext('2d').putImageData(lines, 0, 0)
  canvas.getContext('2d').drawImage(over, 0, 0)
  canvas.role = 'img'
  canvas.ariaLabel = `${item.dataset.id} with the outline of its new mask`
  item.querySelector('a').replaceChildren(canvas)
  const note = item.querySelector('.seen') ?? made('span', {className: 'seen'})
  note.textContent = 'corrected'
  item.append(note)
}

// ---- The page around it

function arrange() {
  $('zip').hidden = !waiting.size
  $('zip').textContent = `Take ${waiting.size} corrected mask${waiting.size > 1 ? 's' : ''} as zip`
  $('folder').hidden = !window.showDirectoryPicker || Boolean(folder)
}

async function choose() {
  const chosen = await chooseFolder()
  if (!chosen) return
  if (!await contentOf(chosen, 'predictions.csv'))
    throw new Error(`${chosen.name} holds no predictions.csv: choose the folder of this page.`)
  folder = chosen
  for (const item of items)
    if (waiting.has(nameOf(item)))
      await store(nameOf(item), waiting.get(nameOf(item)), bytesOf(item.dataset.mask))
  say('From now on each mask is written into that folder.')
  arrange()
}

for (const item of items) item.querySelector('a').onclick = event => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return // as any link
  event.preventDefault()
  act(() => open(item))
}

$('folder').onclick = () => act(choose)
$('zip').onclick = () => {
  give(zip([...waiting]), 'corrected_masks.zip', 'application/zip')
  unsaved = false
  say('Unpack corrected_masks.zip in the folder of this page, over the masks that lie there.')
}
$('close').onclick = () => $('desk').close()
$('desk').onclose = () => act(async () => {
  await keep()
  settings = desk?.editor.settings ?? settings
  desk = null
  $('editor').replaceChildren()
  say(waiting.size ? 'Take the zip before you leave this page.' : '')
})
window.onbeforeunload = event => { if (unsaved) event.preventDefault() }
arrange()
