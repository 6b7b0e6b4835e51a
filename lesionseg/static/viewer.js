// The threshold slider: outlines, probabilities and the IoU of a dozen images, without Python.
'use strict';

const find = id => document.getElementById(id);
const data = JSON.parse(find('samples').textContent);
const side = data.side; // of the images, in pixels
const SHOWN = 384;      // side of a canvas with outlines, in pixels

function bytes(text) {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}

// All edges between a pixel that is inside and one that is not, on a dark seam.
function drawOutline(pen, inside, color) {
  const at = (x, y) => x >= 0 && y >= 0 && x < side && y < side && inside[y*side + x] > 0;
  const unit = side/128;

  pen.beginPath();
  for (let y = 0; y <= side; y++) {
    for (let x = 0; x <= side; x++) {
      if (at(x, y) !== at(x - 1, y)) { pen.moveTo(x, y); pen.lineTo(x, y + 1); }
      if (at(x, y) !== at(x, y - 1)) { pen.moveTo(x, y); pen.lineTo(x + 1, y); }
    }
  }

  pen.lineCap = 'square';
  for (const [style, width] of [['black', 2*unit], [color, 1.1*unit]]) {
    pen.strokeStyle = style;
    pen.lineWidth = width;
    pen.stroke();
  }
}

function drawProbs(canvas, probs) {
  const pixels = new ImageData(side, side);
  probs.forEach((p, i) => pixels.data.set([p, p, p, 255], 4*i));
  canvas.width = canvas.height = side;
  canvas.getContext('2d').putImageData(pixels, 0, 0);
}

// Empty against empty is 1.
function iou(mask, found) {
  let both = 0;
  let either = 0;
  mask.forEach((inside, i) => {
    if (inside && found[i]) both++;
    if (inside || found[i]) either++;
  });
  return either ? both/either : 1;
}

// Draws what a model says of an image, and returns it as a sentence for those who hear the page.
function show(model, sample, level) {
  const found = sample.probs[model].map(p => p > 255*level);
  const score = 'IoU ' + iou(sample.mask, found).toFixed(3);
  const sentence = data.names[model] + ': ' + score;

  const canvas = find('outline' + model);
  canvas.width = canvas.height = SHOWN;
  const pen = canvas.getContext('2d');
  pen.scale(SHOWN/side, SHOWN/side);
  pen.drawImage(sample.photo, 0, 0, side, side);
  drawOutline(pen, sample.mask, '#00e5ff');
  drawOutline(pen, found, '#ffd000');
  canvas.setAttribute('aria-label', 'Outlines of ground truth and prediction. ' + sentence);

  drawProbs(find('probs' + model), sample.probs[model]);
  find('iou' + model).textContent = score;
  return sentence;
}

function draw() {
  const sample = data.samples[find('sample').value];
  const level = Number(find('threshold').value);
  const sentences = data.names.map((name, model) => show(model, sample, level));
  find('level').textContent = level.toFixed(2);
  find('said').textContent = sample.id + ', threshold ' + level.toFixed(2) + '. '
    + sentences.join('; ');
}

for (const sample of data.samples) {
  sample.mask = bytes(sample.mask);
  sample.probs = sample.probs.map(bytes);
  sample.photo = new Image();
  sample.photo.onload = draw;
  sample.photo.src = 'data:image/jpeg;base64,' + sample.image;
}
for (const id of ['sample', 'threshold']) find(id).addEventListener('input', draw);
draw();
