// How long the network of a page takes: `node tests/network_time.mjs page.html [calls]` prints the
// first call, and of the others the fastest and the median, in seconds; and the seconds of CPU of
// the fastest, which other work on the machine disturbs less. It runs what the page runs.
import {readFileSync} from 'node:fs'
import {runInThisContext} from 'node:vm'

const [file, calls = 15] = process.argv.slice(2)
const page = readFileSync(file, 'utf8')
const inside = id => page.match(new RegExp(`id="${id}">(.*?)</script>`, 's'))[1]

runInThisContext(inside('worker'))
const graph = JSON.parse(inside('graph')), {size} = graph
globalThis.image = Float32Array.from({length: 3*size*size}, Math.random)
globalThis.load({graph, weights: inside('weights')})

const seconds = [], cpu = []
for (let call = 0; call <= calls; call++) {
  const start = performance.now(), before = process.cpuUsage()
  runInThisContext('forward(graph, constants, image, graph.size)')
  const {user, system} = process.cpuUsage(before)
  seconds.push((performance.now() - start)/1e3)
  cpu.push((user + system)/1e6)
}
const [first, ...others] = seconds
others.sort((a, b) => a - b)
const median = others[Math.floor(others.length/2)]
console.log(JSON.stringify({first, fastest: others[0], median, cpu: Math.min(...cpu.slice(1))}))
