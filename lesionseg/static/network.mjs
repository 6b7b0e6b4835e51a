// The whole network once more, by hand: images in, logits out, in plain JavaScript.
//
// A graph has steps [kind, what it takes, what it gives, options, what nobody needs any more], as
// `_packed` writes them; BatchNorm is merged into the convolutions. A value, {data, c, h, w},
// has the rows of a plane, planes one behind the other, as PyTorch keeps them, of one image.

// Half precision: 1 bit sign, 5 bits exponent, 10 bits fraction.
function fromHalf(bits) {
  const exponent = bits >> 10 & 31, fraction = (bits & 1023)/1024
  const size = exponent ? 2**(exponent - 15)*(1 + fraction) : 2**-14*fraction
  return bits >> 15 ? -size : size
}

// Unpack the constants of a graph, each [name, shape, 'half' or 'float', start, length].
export function constantsOf(graph, bytes) {
  return Object.fromEntries(graph.constants.map(([name, shape, kind, start, length]) => {
    const part = bytes.slice(start, start + length)
    const data = kind === 'half' ? Float32Array.from(new Uint16Array(part.buffer), fromHalf)
      : new Float32Array(part.buffer)
    return [name, {data, shape}]
  }))
}

// C = A B for A of m × k and B of k × n: the one place where time is spent. Four rows and four
// columns at a time, so that each number that is fetched is used four times.
function product(A, B, m, k, n) {
  const C = new Float32Array(m*n)
  const high = m - m % 4, wide = n - n % 4
  for (let i = 0; i < high; i += 4) for (let j = 0; j < wide; j += 4) block(A, B, C, i, j, k, n)
  for (let i = 0; i < m; i++) for (let j = i < high ? wide : 0; j < n; j++)
    for (let p = 0; p < k; p++) C[i*n + j] += A[i*k + p]*B[p*n + j]
  return C
}

function block(A, B, C, i, j, k, n) {
  let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0
  let q = 0, r = 0, s = 0, t = 0, u = 0, v = 0, w = 0, x = 0
  const first = i*k, second = first + k, third = second + k, fourth = third + k
  for (let p = 0, from = j; p < k; p++, from += n) {
    const b0 = B[from], b1 = B[from + 1], b2 = B[from + 2], b3 = B[from + 3]
    const a0 = A[first + p], a1 = A[second + p], a2 = A[third + p], a3 = A[fourth + p]
    a += a0*b0; b += a0*b1; c += a0*b2; d += a0*b3
    e += a1*b0; f += a1*b1; g += a1*b2; h += a1*b3
    q += a2*b0; r += a2*b1; s += a2*b2; t += a2*b3
    u += a3*b0; v += a3*b1; w += a3*b2; x += a3*b3
  }
  let at = i*n + j
  C[at] = a; C[at + 1] = b; C[at + 2] = c; C[at + 3] = d; at += n
  C[at] = e; C[at + 1] = f; C[at + 2] = g; C[at + 3] = h; at += n
  C[at] = q; C[at + 1] = r; C[at + 2] = s; C[at + 3] = t; at += n
  C[at] = u; C[at + 1] = v; C[at + 2] = w; C[at + 3] = x
}

// For each place of a kernel the rows of the small plane that meet the large one, where they lie
// `stride` apart: visit(place in the kernel, index in the small, index in the large, how many).
function meet(small, large, {k, stride, pad}, visit) {
  for (let y = 0; y < k; y++) for (let x = 0; x < k; x++) {
    const first = Math.max(0, Math.ceil((pad - x)/stride))
    const last = Math.min(small.w - 1, Math.floor((large.w - 1 + pad - x)/stride))
    for (let row = 0; row < small.h; row++) {
      const down = row*stride + y - pad
      if (down < 0 || down >= large.h) continue
      const to = down*large.w + first*stride + x - pad
      visit(y*k + x, row*small.w + first, to, last - first + 1)
    }
  }
}

function addBias(data, bias, area) {
  bias.forEach((b, c) => { for (let i = c*area; i < (c + 1)*area; i++) data[i] += b })
  return data
}

const shapeOf = ({shape}, {strides, pads}) => ({k: shape[2], stride: strides[0], pad: pads[0]})

// Convolution: every patch becomes a column, then one product. With as many groups as channels
// (depthwise) each plane meets its own kernel.
function conv([x, weight, bias], options) {
  const shape = shapeOf(weight, options)
  const side = length => (length + 2*shape.pad - shape.k)/shape.stride + 1 | 0
  const out = {c: weight.shape[0], h: side(x.h), w: side(x.w)}
  const area = out.h*out.w, kk = shape.k**2, plane = x.h*x.w
  let data = new Float32Array(out.c*area)
  if (options.group > 1) for (let c = 0; c < out.c; c++)
    meet(out, x, shape, (place, i, j, many) => {
      const w = weight.data[c*kk + place], from = c*plane + j, to = c*area + i
      for (let n = 0; n < many; n++) data[to + n] += w*x.data[from + n*shape.stride]
    })
  else {
    let columns = x.data // a kernel of one pixel: the patches are the pixels
    if (kk > 1 || shape.stride > 1) {
      columns = new Float32Array(x.c*kk*area)
      for (let c = 0; c < x.c; c++) meet(out, x, shape, (place, i, j, many) => {
        const from = c*plane + j, to = (c*kk + place)*area + i
        for (let n = 0; n < many; n++) columns[to + n] = x.data[from + n*shape.stride]
      })
    }
    data = product(weight.data, columns, out.c, x.c*kk, area)
  }
  return {...out, data: addBias(data, bias.data, area)}
}

// Transposed convolution: one product, then every pixel adds its patch to the larger plane.
function convTransposed([x, weight, bias], options) {
  const shape = shapeOf(weight, options)
  const side = length => (length - 1)*shape.stride - 2*shape.pad + shape.k
  const out = {c: weight.shape[1], h: side(x.h), w: side(x.w)}
  const area = out.h*out.w, kk = shape.k**2, plane = x.h*x.w, rows = out.c*kk
  const turned = new Float32Array(rows*x.c)
  for (let i = 0; i < x.c; i++) for (let j = 0; j < rows; j++)
    turned[j*x.c + i] = weight.data[i*rows + j]
  const patches = product(turned, x.data, rows, x.c, plane)
  const data = new Float32Array(out.c*area)
  for (let c = 0; c < out.c; c++) meet(x, out, shape, (place, i, j, many) => {
    const from = (c*kk + place)*plane + i, to = c*area + j
    for (let n = 0; n < many; n++) data[to + n*shape.stride] += patches[from + n]
  })
  return {...out, data: addBias(data, bias.data, area)}
}

// Number by number; a constant with one number a channel serves its whole plane.
const each = f => ([a, b]) => {
  const step = a.data.length/b.data.length
  return {...a, data: a.data.map((value, i) => f(value, b.data[i/step | 0]))}
}

const KINDS = {
  Conv: conv, ConvTranspose: convTransposed,
  Add: each((a, b) => a + b), Sub: each((a, b) => a - b), Div: each((a, b) => a/b),
  Identity: ([x]) => x, // dropout, which rests
  Relu: ([x]) => ({...x, data: x.data.map(v => v > 0 ? v : 0)}),
  Clip: ([x]) => ({...x, data: x.data.map(v => v < 0 ? 0 : v > 6 ? 6 : v)}), // ReLU6
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
