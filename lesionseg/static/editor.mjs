// A brush for masks. `createEditor` knows a canvas and nothing else: the widget at the end of this
// file and the page are its two hosts.

const COLOR = [0, 229, 255] // cyan, as outlines everywhere
const KEPT = 30 // steps of undo
const TOOLS = {brush: 'b', eraser: 'e', fill: 'f'} // and their keys

const BAR = `
  <div class="tools" role="toolbar" aria-label="Painting">
    <button data-tool="brush" aria-keyshortcuts="b">Brush <kbd>b</kbd></button>
    <button data-tool="eraser" aria-keyshortcuts="e">Eraser <kbd>e</kbd></button>
    <button data-tool="fill" aria-keyshortcuts="f" title="Fill an outline">
      Fill <kbd>f</kbd></button>
    <button data-do="undo" aria-keyshortcuts="Control+Z">Undo <kbd>Ctrl+Z</kbd></button>
    <button data-do="redo" aria-keyshortcuts="Control+Y">Redo <kbd>Ctrl+Y</kbd></button>
    <label>size <input data-set="brush" type="range" min="2" max="120"></label>
    <label>opacity <input data-set="opacity" type="range" min="0" max="1" step="0.05"></label>
    <label hidden>threshold
      <input data-set="threshold" type="range" min="0.05" max="0.95" step="0.05"></label>
  </div>
  <canvas tabindex="0" role="application" aria-label="Mask: arrow keys move the brush, space
    paints, b brush, e eraser, f fill, plus and minus zoom, 0 shows all"></canvas>
  <div class="tools" role="toolbar" aria-label="Images">
    <button data-do="previous" aria-keyshortcuts="p">Previous <kbd>p</kbd></button>
    <button data-do="right" aria-keyshortcuts="y">This one is right <kbd>y</kbd></button>
    <button data-do="save" aria-keyshortcuts="s">Save <kbd>s</kbd></button>
    <button data-do="next" aria-keyshortcuts="n">Next <kbd>n</kbd></button>
    <button data-do="teach" aria-keyshortcuts="t">Teach <kbd>t</kbd></button>
  </div>
  <p role="status" aria-live="polite"></p>`

// image: anything a canvas draws. values: Uint8Array of 0 and 1, probs: of 0 to 255, or null.
// host: {changed(values), previous(), right(), save(), next(), teach()}; what is missing has no button.
// Returns {read, write, say, wait, settings}: while it waits for its host, nothing can be painted.
export function createEditor(el, {image, width, height, values, probs, brush = 24, opacity = .45,
                                  threshold = .5, tool = 'brush'}, host) {
  const focused = el.contains(document.activeElement)
  el.classList.add('mask-editor')
  el.innerHTML = BAR
  const canvas = el.querySelector('canvas')
  const view = canvas.getContext('2d')
  const settings = {brush, opacity, threshold, tool}
  const ink = document.createElement('canvas').getContext('2d', {willReadFrequently: true})
  Object.assign(ink.canvas, {width, height})
  Object.assign(canvas, {width, height})
  let past = [], future = []
  let last = null, outline = null, at = [width/2, height/2]
  let waits = false, slides = false // does the threshold move?
  let zoom = 1, corner = [0, 0] // what the upper left pixel of the canvas shows
  const fingers = new Map()

  function read() { // the mask, 0 or 1 for each pixel
    const {data} = ink.getImageData(0, 0, width, height)
    const mask = new Uint8Array(width*height)
    for (let i = 0; i < mask.length; i++) mask[i] = data[4*i + 3] > 127 ? 1 : 0
    return mask
  }

  function write(mask) {
    const pixels = ink.createImageData(width, height)
    mask.forEach((value, i) => { if (value) pixels.data.set([...COLOR, 255], 4*i) })
    ink.putImageData(pixels, 0, 0)
    draw()
  }

  function draw() {
    view.setTransform(zoom, 0, 0, zoom, -zoom*corner[0], -zoom*corner[1])
    view.drawImage(image, 0, 0, width, height)
    view.globalAlpha = settings.opacity
    view.drawImage(ink.canvas, 0, 0)
    view.globalAlpha = 1
    for (const [color, more] of [['#000', 1/zoom], ['#fff', 0]]) {
      view.strokeStyle = color
      view.lineWidth = 1/zoom
      view.beginPath()
      view.arc(...at, settings.brush/2 + more, 0, 7)
      if (outline) outline.forEach((point, i) => i ? view.lineTo(...point) : view.moveTo(...point))
      view.stroke()
    }
  }

  function remember() {
    past.push(read())
    past = past.slice(-KEPT)
    future = []
  }

  function finish() { // a stroke is over: edges become 0 or 1, and the host hears of it
    const mask = read()
    write(mask)
    last = outline = null
    host.changed?.(mask)
  }

  function travel(from, to) { // undo and redo
    if (!from.length) return
    to.push(read())
    write(from.pop())
    host.changed?.(read())
  }

  function paint(to) {
    ink.globalCompositeOperation = settings.tool === 'eraser' ? 'destination-out' : 'source-over'
    ink.strokeStyle = ink.fillStyle = `rgb(${COLOR})`
    if (settings.tool === 'fill') outline = [...(outline ?? []), to]
    else {
      Object.assign(ink, {lineWidth: settings.brush, lineCap: 'round', lineJoin: 'round'})
      ink.beginPath()
      ink.moveTo(...(last ?? to))
      ink.lineTo(to[0] + .01, to[1])
      ink.stroke()
    }
    last = to
    draw()
  }

  function closeOutline() {
    ink.beginPath()
    outline.forEach((point, i) => i ? ink.lineTo(...point) : ink.moveTo(...point))
    ink.fill()
  }

  function end() {
    if (!last) return
    if (outline) closeOutline()
    finish()
  }

  // so that the point `about` stays where it is, or comes to `spot` of the canvas
  function zoomTo(wanted, about, spot = about.map((p, i) => (p - corner[i])*zoom)) {
    zoom = Math.min(8, Math.max(1, wanted))
    const most = [width - width/zoom, height - height/zoom]
    corner = about.map((p, i) => Math.min(most[i], Math.max(0, p - spot[i]/zoom)))
    draw()
  }

  function pan(dx, dy) {
    zoomTo(zoom, corner, [dx*zoom, dy*zoom])
  }

  function follow() { // keep the brush that keys move within what is shown
    const shown = [width/zoom, height/zoom]
    corner = corner.map((c, i) => Math.min(at[i], Math.max(c, at[i] - shown[i])))
    zoomTo(zoom, at)
  }

  function fromProbability() { // one step back, however far the slider moves
    if (!slides) remember()
    slides = true
    write(probs.map(p => p > 255*settings.threshold ? 1 : 0))
  }

  const act = {
    undo: () => travel(past, future),
    redo: () => travel(future, past),
    ...Object.fromEntries(['previous', 'right', 'save', 'next', 'teach'].map(
      name => [name, () => { end(); host[name]?.(read()) }])),
  }

  function choose(name) {
    settings.tool = name
    outline = null
    for (const button of el.querySelectorAll('[data-tool]'))
      button.setAttribute('aria-pressed', button.dataset.tool === name)
    draw()
  }

  function wait(state) {
    waits = state
    canvas.setAttribute('aria-busy', state)
  }

  function onCanvas(event) {
    const box = canvas.getBoundingClientRect()
    return [(event.clientX - box.left)*width/box.width,
            (event.clientY - box.top)*height/box.height]
  }

  function shownAt(spot) { return spot.map((value, i) => value/zoom + corner[i]) }
  function place(event) { return shownAt(onCanvas(event)) }

  canvas.onpointerdown = event => {
    if (waits) return
    canvas.setPointerCapture(event.pointerId)
    fingers.set(event.pointerId, onCanvas(event))
    if (fingers.size === 2 && last) { // a second finger: it was the beginning of a pinch
      write(past.pop())
      last = outline = null
    }
    if (fingers.size > 1 || event.button) return
    remember()
    paint(at = place(event))
  }

  canvas.onpointermove = event => {
    if (fingers.size === 2 && fingers.has(event.pointerId)) return pinch(event)
    if (event.buttons & 4) return pan(event.movementX/zoom, event.movementY/zoom)
    const moves = event.getCoalescedEvents?.() ?? [] // may be empty
    for (const move of moves.length ? moves : [event]) {
      at = place(move)
      if (last) paint(at)
    }
    draw()
  }

  function pinch(event) {
    const before = [...fingers.values()]
    fingers.set(event.pointerId, onCanvas(event))
    const after = [...fingers.values()]
    const apart = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1])
    const middle = ([a, b]) => [(a[0] + b[0])/2, (a[1] + b[1])/2]
    zoomTo(zoom*apart(after)/Math.max(1, apart(before)), shownAt(middle(before)), middle(after))
  }

  canvas.onpointerup = canvas.onpointercancel = event => {
    fingers.delete(event.pointerId)
    end()
  }

  canvas.onwheel = event => {
    if (!event.ctrlKey) return
    event.preventDefault()
    zoomTo(zoom*Math.exp(-event.deltaY/300), place(event))
  }

  canvas.onkeydown = event => {
    if (waits) return
    const step = event.shiftKey ? 20 : 4
    const move = {ArrowLeft: [-step, 0], ArrowRight: [step, 0],
                  ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key]
    const key = event.key.toLowerCase()
    const named = Object.keys(TOOLS).find(name => TOOLS[name] === key)
    const deed = {n: 'next', p: 'previous', y: 'right', s: 'save', t: 'teach'}[key]
    const command = event.ctrlKey || event.metaKey
    if (command && key === 'z') act[event.shiftKey ? 'redo' : 'undo']()
    else if (command && key === 'y') act.redo()
    else if (command) return
    else if (named) choose(named)
    else if (deed) act[deed]()
    else if (key === '+' || key === '-') zoomTo(zoom*(key === '+' ? 1.25 : .8), at)
    else if (key === '0') zoomTo(1, at)
    else if (key === ' ' && settings.tool === 'fill') keyOutline()
    else if (key === ' ') { remember(); paint(at); end() }
    else if (key === 'enter' && outline) { remember(); closeOutline(); finish() }
    else if (move) {
      at = at.map((p, i) => Math.min([width, height][i], Math.max(0, p + move[i])))
      follow()
    }
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  function keyOutline() { // a corner of the outline; Enter closes and fills it
    outline = [...(outline ?? []), [...at]]
    draw()
  }

  el.onclick = event => {
    const {tool: name, do: deed} = event.target.closest('button')?.dataset ?? {}
    if (waits) return
    if (name) choose(name)
    if (deed) act[deed]()
  }

  el.oninput = event => {
    const name = event.target.dataset.set
    if (!name || waits) return
    settings[name] = +event.target.value
    if (name === 'threshold') fromProbability()
    else draw()
  }

  el.onchange = () => { // the slider is let go
    if (slides) host.changed?.(read())
    slides = false
  }

  for (const input of el.querySelectorAll('[data-set]')) {
    input.value = settings[input.dataset.set]
    if (input.dataset.set === 'threshold') input.parentElement.hidden = !probs
  }
  for (const button of el.querySelectorAll('[data-do]')) {
    const name = button.dataset.do
    button.hidden = !['undo', 'redo'].includes(name) && !host[name]
  }
  choose(tool)
  write(values)
  if (focused) canvas.focus()
  const say = text => { el.querySelector('[role=status]').textContent = text }
  return {read, write, say, wait, settings}
}

// The widget: what Python sends is drawn, what is painted is sent after each stroke.
function bytes(view) { return new Uint8Array(view.buffer, view.byteOffset, view.byteLength) }

async function render({model, el}) {
  const get = name => model.get(name)
  let editor, own, loaded

  function send(name, value) {
    model.set(name, value)
    model.save_changes()
  }

  function changed(mask) {
    own = new DataView(mask.buffer)
    model.set('sent', performance.now())
    send('values', own)
  }

  function ask(name) { // what is painted now would land on the next image
    const before = get('said')
    editor.wait(true)
    send('deed', [name, performance.now()])
    setTimeout(() => {
      if (get('done') !== get('deed')[1] && get('said') === before) editor.say('Python is busy …')
    }, 1000)
  }

  const names = get('deeds')
  const deeds = Object.fromEntries(names.map(name => [name, () => ask(name)]))

  async function load() {
    const image = await createImageBitmap(new Blob([get('image')], {type: 'image/jpeg'}))
    const probs = get('probs')
    editor = createEditor(el, {
      image, width: image.width, height: image.height, values: bytes(get('values')),
      probs: probs.byteLength ? bytes(probs) : null, brush: get('brush'), opacity: get('opacity'),
      threshold: get('threshold'), ...editor?.settings}, {changed, ...deeds})
    editor.say(get('said'))
  }

  model.on('change:image', () => { loaded = load() })
  model.on('change:values', () => { // the echo of one's own stroke is not drawn again
    if (get('values') !== own && bytes(get('values')).length === editor.read().length)
      editor.write(bytes(get('values')))
  })
  model.on('change:done', async () => {
    await null // all that has changed is told by now
    await loaded
    editor.wait(false)
  })
  model.on('change:back', () => { el.dataset.latency = performance.now() - get('back') })
  model.on('change:said', () => editor.say(get('said')))
  await load()
}

export default {render}
