// The whole network once more, by hand: images in, logits out, in plain JavaScript.
//
// A graph has steps [kind, what it takes, what it gives, options, what nobody needs any more], as
// `_packed` writes them; BatchNorm is merged into the convolutions. A value, {data, c, h, w},
// has the rows of a plane, planes one behind the other, as PyTorch keeps them, of one image.
// Plain loops over numbers that lie side by side: `map` and its like take several times as long.

// A matrix in the order in which `block` reads it: four rows at a time, column after column.
function byFours(rows, columns, numberAt) {
  const out = new Float32Array(4*Math.ceil(rows/4)*columns)
  for (let i = 0; i < rows; i++) for (let p = 0; p < columns; p++)
    out[4*((i >> 2)*columns + p) + (i & 3)] = numberAt(i, p)
  return out
}

// bias + A B for A of m × k, by fours, and B of k × n: where most of the time is spent. Four
// columns of B at a time, side by side, in the double precision in which JavaScript calculates.
function product(A, B, m, k, n, bias) {
  const wide = 4*Math.ceil(n/4), C = new Float32Array(4*Math.ceil(m/4)*wide)
  bias.forEach((b, i) => C.fill(b, i*wide, (i + 1)*wide))
  const four = new Float64Array(4*k)
  for (let j = 0; j < n; j += 4) {
    const many = Math.min(4, n - j)
    for (let p = 0; p < k; p++) for (let c = 0; c < many; c++) four[4*p + c] = B[p*n + j + c]
    for (let i = 0; i < m; i += 4) block(A, i*k, four, C, i*wide + j, wide)
  }
  if (wide > n) for (let i = 1; i < m; i++) C.copyWithin(i*n, i*wide, i*wide + n)
  return C.subarray(0, m*n)
}

// Four rows times four columns: each number that is fetched is used four times.
function block(A, from, B, C, at, n) {
  let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0
  let q = 0, r = 0, s = 0, t = 0, u = 0, v = 0, w = 0, x = 0
  for (let p = 0; p < B.length; p += 4, from += 4) {
    const a0 = A[from], a1 = A[from + 1], a2 = A[from + 2], a3 = A[from + 3]
    const b0 = B[p], b1 = B[p + 1], b2 = B[p + 2], b3 = B[p + 3]
    a += a0*b0; b += a0*b1; c += a0*b2; d += a0*b3
    e += a1*b0; f += a1*b1; g += a1*b2; h += a1*b3
    q += a2*b0; r += a2*b1; s += a2*b2; t += a2*b3
    u += a3*b0; v += a3*b1; w += a3*b2; x += a3*b3
  }
  C[at] += a; C[at + 1] += b; C[at + 2] += c; C[at + 3] += d; at += n
  C[at] += e; C[at + 1] += f; C[at + 2] += g; C[at + 3] += h; at += n
  C[at] += q; C[at + 1] += r; C[at + 2] += s; C[at + 3] += t; at += n
  C[at] += u; C[at + 1] += v; C[at + 2] += w; C[at + 3] += x
}

// Depthwise convolution: each plane, in a frame of zeros, meets its own kernel of 3 × 3.
function depthwise({data, h, w}, kernels, bias, stride, out) {
  const wide = w + 2, framed = new Float64Array(wide*(h + 2))
  const result = new Float32Array(out.c*out.h*out.w)
  for (let c = 0; c < out.c; c++) {
    for (let y = 0; y < h; y++) for (let x = 0, to = (y + 1)*wide + 1; x < w; x++)
      framed[to + x] = data[(c*h + y)*w + x]
    const b = bias[c], [k0, k1, k2, k3, k4, k5, k6, k7, k8] = kernels.subarray(9*c, 9*c + 9)
    for (let y = 0; y < out.h; y++) for (let x = 0, to = (c*out.h + y)*out.w; x < out.w; x++) {
      const i = (y*wide + x)*stride, j = i + wide, k = j + wide
      result[to + x] = b + k0*framed[i] + k1*framed[i + 1] + k2*framed[i + 2] +
        k3*framed[j] + k4*framed[j + 1] + k5*framed[j + 2] +
        k6*framed[k] + k7*framed[k + 1] + k8*framed[k + 2]
    }
  }
  return result
}

// For each place of a kernel and each pixel of the small plane: the pixel that it meets in the
// large one, where small ones lie `stride` apart; -1 outside.
function meetings(small, large, k, stride, pad) {
  const out = new Int32Array(k*k*small.h*small.w)
  let i = 0
  for (let y = -pad; y < k - pad; y++) for (let x = -pad; x < k - pad; x++)
    for (let row = y; row < y + small.h*stride; row += stride)
      for (let column = x; column < x + small.w*stride; column += stride) out[i++] =
        row < 0 || row >= large.h || column < 0 || column >= large.w ? -1 : row*large.w + column
  return out
}

// Convolution: every patch becomes a column, then one product.
function conv([x, weight, bias], {strides: [stride], pads: [pad], group}) {
  const [channels, , k] = weight.shape, side = length => (length + 2*pad - k)/stride + 1 | 0
  const out = {c: channels, h: side(x.h), w: side(x.w)}, length = x.c*k*k, area = out.h*out.w
  if (group > 1) return {...out, data: depthwise(x, weight.data, bias.data, stride, out)}
  let columns = x.data // a kernel of one pixel: the patches are the pixels
  if (k > 1) {
    columns = new Float32Array(length*area)
    const met = meetings(out, x, k, stride, pad), plane = x.h*x.w
    for (let c = 0, to = 0, {data} = x; c < x.c; c++) for (let i = 0; i < met.length; i++, to++)
      if (met[i] >= 0) columns[to] = data[c*plane + met[i]]
  }
  weight.rows ??= byFours(channels, length, (i, p) => weight.data[i*length + p])
  return {...out, data: product(weight.rows, columns, channels, length, area, bias.data)}
}

// Transposed convolution: one product, then every pixel adds its patch to the larger plane.
function convTransposed([x, weight, bias], {strides: [stride], pads: [pad]}) {
  const [, channels, k] = weight.shape, side = length => (length - 1)*stride - 2*pad + k
  const out = {c: channels, h: side(x.h), w: side(x.w)}, rows = channels*k*k, area = out.h*out.w
  weight.rows ??= byFours(rows, x.c, (i, p) => weight.data[p*rows + i])
  const patches = product(weight.rows, x.data, rows, x.c, x.h*x.w, [])
  const data = new Float32Array(channels*area), met = meetings(x, out, k, stride, pad)
  for (let c = 0, from = 0; c < channels; c++) {
    data.fill(bias.data[c], c*area, (c + 1)*area)
    for (let i = 0; i < met.length; i++, from++)
      if (met[i] >= 0) data[c*area + met[i]] += patches[from]
  }
  return {...out, data}
}

// Number by number; a constant with one number a channel serves its whole plane.
const each = kind => ([a, b]) => {
  const data = new Float32Array(a.data.length), many = data.length/b.data.length
  for (let j = 0, i = 0; j < b.data.length; j++) for (const end = i + many; i < end; i++) {
    const v = a.data[i], w = b.data[j]
    data[i] = kind === 'Add' ? v + w : kind === 'Sub' ? v - w : v/w
  }
  return {...a, data}
}

// From 0 to `high`, in place, since nobody asks for the old numbers. Without an `if`: a processor
// guesses its answer, and here every other guess is wrong.
const clip = high => ([x]) => {
  for (let i = 0, {data} = x; i < data.length; i++)
    data[i] = (Math.abs(data[i]) - Math.abs(data[i] - high) + high)/2
  return x
}

const KINDS = {
  Conv: conv, ConvTranspose: convTransposed,
  Relu: clip(2**20), Clip: clip(6), // the first number is larger than all there are
  Add: each('Add'), Sub: each('Sub'), Div: each('Div'),
  Identity: ([x]) => x, // dropout, which rests
  Concat: ([a, b]) => {
    const data = new Float32Array(a.data.length + b.data.length)
    data.set(a.data)
    data.set(b.data, a.data.length)
    return {...a, c: a.c + b.c, data}
  },
}

// The probabilities of one image: 3 planes of side × side, in [0, 1].
export function forward(graph, constants, image, side) {
  const values = {...constants, images: {data: image, c: 3, h: side, w: side}}
  let last
  for (const [kind, takes, gives, options, free] of graph.steps) {
    last = values[gives] = KINDS[kind](takes.map(name => values[name]), options)
    for (const name of free) delete values[name]
  }
  return last.data.map(logit => 1/(1 + Math.exp(-logit)))
}
