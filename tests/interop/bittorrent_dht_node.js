// A bittorrent-dht node on loopback, driven by JSON lines: see README.md for the commands and events.

import { once } from 'node:events'
import { createInterface } from 'node:readline'

import DHT from 'bittorrent-dht'

const LOOPBACK = '127.0.0.1'

// Bounds on what a command may take, in milliseconds.
const START = 10_000
const BOOTSTRAP = 15_000
const SEARCH = 20_000

let dht = null
let ready = null

const commands = {
  async start ({ port = 0, bootstrap }) {
    // Without a bootstrap node the default is the public network's routers: `false` is nobody.
    dht = new DHT({ bootstrap: bootstrap || false })
    // An error ends both of these; `ready` may have nobody waiting for it yet.
    const listening = once(dht, 'listening')
    ready = once(dht, 'ready')
    ready.catch(() => {})
    dht.on('error', error => console.error(error.message))
    dht.listen(port, LOOPBACK)
    await bounded(listening, START, 'not listening')
    return { event: 'listening', port: dht.address().port, id: dht.nodeId.toString('hex') }
  },

  async announce ({ info_hash: infoHash, port }) {
    await bounded(ready, BOOTSTRAP, 'no bootstrap')
    const nodes = await called(done => dht.announce(infoHash, port, done))
    return { event: 'announced', nodes }
  },

  async get_peers ({ info_hash: infoHash, enough = Infinity }) {
    await bounded(ready, BOOTSTRAP, 'no bootstrap')
    const peers = new Set()
    let collect
    try {
      await called(done => {
        collect = (peer, found) => {
          if (found.toString('hex') === infoHash) peers.add(`${peer.host}:${peer.port}`)
          if (peers.size >= enough) done(null)
        }
        dht.on('peer', collect)
        dht.lookup(infoHash, done)
      })
    } finally {
      dht.off('peer', collect)
    }
    return { event: 'peers', peers: [...peers].sort() }
  },

  async nodes () {
    const nodes = dht.nodes.toArray().map(node => `${node.host}:${node.port}`)
    return { event: 'nodes', nodes: nodes.sort() }
  }
}

// A callback's value as a promise, within the time of a search.
function called (start) {
  const result = new Promise((resolve, reject) => {
    start((error, value) => error ? reject(error) : resolve(value))
  })
  return bounded(result, SEARCH, 'the search does not end')
}

async function bounded (promise, milliseconds, message) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(message)), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function say (event) {
  process.stdout.write(JSON.stringify(event) + '\n')
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const command = JSON.parse(line)
    if (command.cmd === 'quit') break
    if (!Object.hasOwn(commands, command.cmd)) throw new Error(`no such command: ${command.cmd}`)
    say(await commands[command.cmd](command))
  } catch (error) {
    // Told to whoever drives this; the test decides.
    say({ event: 'error', message: error.message })
  }
}
// Searches under way would keep it alive.
process.exit()
