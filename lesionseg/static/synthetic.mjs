// A dermoscopy-like image from a seed, for whoever has no photograph at hand.

function generator(seed) { // mulberry32: numbers from 0 to 1
  return () => {
    seed = seed + 0x6d2b79f5 | 0
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return ((t ^ t >>> 14) >>> 0)/2**32
  }
}

// The border of a lesion: how far it is in each direction, an ellipse with lobes.
function border(random, size) {
  const [long, turn] = [1 + .5*random(), Math.PI*random()]
  const waves = Array.from({length: 7}, (_, i) => [i + 2, .22*random()/(i + 2), 6.3*random()])
  return angle => {
    const [x, y] = [Math.cos(angle - turn), Math.sin(angle - turn)]
    const ellipse = size/Math.hypot(x/long, y*long)
    return ellipse*Math.exp(waves.reduce((sum, [n, a, p]) => sum + a*Math.cos(n*angle + p), 0))
  }
}

function trace(context, x, y, far, share) {
  context.beginPath()
  for (let i = 0; i < 180; i++) {
    const angle = i*Math.PI/90
    context.lineTo(x + share*far(angle)*Math.cos(angle), y + share*far(angle)*Math.sin(angle))
  }
  context.fill()
}

function hairs(context, random, width, height) {
  context.filter = 'none'
  for (let i = Math.floor(random()*9); i > 0; i--) {
    const [x, y, lean] = [random()*width, random()*height, random()*6.3]
    context.strokeStyle = `rgb(45 30 22 / ${.35 + .4*random()})`
    context.lineWidth = .8 + 1.4*random()
    context.beginPath()
    context.moveTo(x, y)
    context.quadraticCurveTo(x + 120*Math.cos(lean), y + 120*Math.sin(lean),
                             x + 230*Math.cos(lean + .4), y + 230*Math.sin(lean + .4))
    context.stroke()
  }
}

// Grain, as every camera has it.
function grain(context, random, width, height) {
  const image = context.getImageData(0, 0, width, height)
  for (let i = 0; i < image.data.length; i += 4) {
    const noise = 14*(random() + random() - 1)
    for (let c = 0; c < 3; c++) image.data[i + c] += noise
  }
  context.putImageData(image, 0, 0)
}

export function drawSynthetic(seed, width = 640, height = 480) {
  const random = generator(seed)
  const canvas = Object.assign(document.createElement('canvas'), {width, height})
  const context = canvas.getContext('2d', {willReadFrequently: true})
  const [x, y] = [width*(.4 + .2*random()), height*(.4 + .2*random())]
  const light = context.createRadialGradient(width/2, height/2, 60, width/2, height/2, width*.62)
  const skin = [226 + 20*random(), 176 + 24*random(), 150 + 26*random()]
  light.addColorStop(0, `rgb(${skin})`)
  light.addColorStop(1, `rgb(${skin.map(value => value*.8)})`)
  context.fillStyle = light
  context.fillRect(0, 0, width, height)

  const far = border(random, 65 + 70*random())
  const brown = [128 + 30*random(), 78 + 20*random(), 56 + 20*random()]
  for (const [share, blur, dark, alpha] of [[1, 5, 1, .85], [.8, 14, .85, .7], [.5, 18, .65, .7]]) {
    context.filter = `blur(${blur}px)`
    context.fillStyle = `rgb(${brown.map(value => value*dark).join(' ')} / ${alpha})`
    trace(context, x + 12*(random() - .5), y + 12*(random() - .5), far, share)
  }
  hairs(context, random, width, height)
  grain(context, random, width, height)
  return canvas
}
