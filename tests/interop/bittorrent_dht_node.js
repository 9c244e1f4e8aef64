// A bittorrent-dht node on loopback, driven by JSON lines: see README.md for the commands and events.

import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
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
    dht = new DHT({ bootstrap: bootstrap || false, verify: isSigned })
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

  // An immutable item, or with "seed" and "key" (32 bytes each) a mutable one.
  async put ({ value, seed, key, salt, seq }) {
    await bounded(ready, BOOTSTRAP, 'no bootstrap')
    const item = { v: Buffer.from(value, 'hex') }
    if (key) {
      const secret = createPrivateKey({ key: der(SECRET, seed), format: 'der', type: 'pkcs8' })
      Object.assign(item, { k: Buffer.from(key, 'hex'), seq, sign: message => sign(null, message, secret) })
      if (salt) item.salt = Buffer.from(salt, 'hex')
    }
    const nodes = await called(done => dht.put(item, (error, hash, nodes) => done(error, nodes)))
    return { event: 'put', nodes }
  },

  // Of its own cache it knows nothing here: what is found, others hold.
  async get ({ target, salt }) {
    await bounded(ready, BOOTSTRAP, 'no bootstrap')
    const options = { cache: false }
    if (salt) options.salt = Buffer.from(salt, 'hex')
    const found = await called(done => dht.get(Buffer.from(target, 'hex'), options, done))
    return { event: 'item', value: found ? found.v.toString('hex') : null, seq: found?.seq ?? null }
  },

  async nodes () {
    const nodes = dht.nodes.toArray().map(node => `${node.host}:${node.port}`)
    return { event: 'nodes', nodes: nodes.sort() }
  }
}

// What stands before a raw Ed25519 key in DER (RFC 8410).
const SECRET = '302e020100300506032b657004220420'
const PUBLIC = '302a300506032b6570032100'

function der (prefix, key) {
  return Buffer.from(prefix + key, 'hex')
}

function isSigned (signature, message, key) {
  const spki = der(PUBLIC, key.toString('hex'))
  return verify(null, message, createPublicKey({ key: spki, format: 'der', type: 'spki' }), signature)
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
