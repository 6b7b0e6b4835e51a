// What the pages share: elements, scaled pictures, and files that leave for the disk.

export function made(kind, properties) {
  return Object.assign(document.createElement(kind), properties)
}

export function scaled(image, long) { // a canvas, `long` pixels along its longer side
  const scale = long/Math.max(image.width, image.height)
  const [width, height] = [image.width, image.height].map(length =>
    Math.max(1, Math.round(length*scale)))
  const canvas = made('canvas', {width, height})
  const context = canvas.getContext('2d')
  context.imageSmoothingQuality = 'high'
  context.drawImage(image, 0, 0, width, height)
  return canvas
}

export function give(bytes, name, type) { // a download
  const link = made('a', {href: URL.createObjectURL(new Blob([bytes], {type})), download: name})
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

// A folder that somebody chooses; null if they change their mind. Chrome, Edge and Opera can.
export async function chooseFolder() {
  try { return await window.showDirectoryPicker({mode: 'readwrite'}) }
  catch (error) {
    if (error.name === 'AbortError') return null
    throw error
  }
}

export async function contentOf(folder, name) { // null if there is no such file
  try {
    const file = await (await folder.getFileHandle(name)).getFile()
    return new Uint8Array(await file.arrayBuffer())
  } catch (error) {
    if (error.name === 'NotFoundError') return null
    throw error
  }
}

async function put(folder, name, bytes) { // whole or not at all: it takes its place at the end
  const file = await (await folder.getFileHandle(name, {create: true})).createWritable()
  await file.write(bytes)
  await file.close()
}

const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i])

// Write a file. Another one of its name goes to the folder `replaced`, unless it is the `known`.
export async function writeInto(folder, name, bytes, known = bytes) {
  const there = await contentOf(folder, name)
  if (there && !same(there, known) && !same(there, bytes)) {
    const aside = await folder.getDirectoryHandle('replaced', {create: true})
    await put(aside, name.replace(/(\.\w+)?$/, `-${Date.now()}$1`), there)
  }
  await put(folder, name, bytes)
}
