// Serves kinesalite or dynalite on a free port of the loopback address, until standard input ends.
'use strict'

const reshard = require('./reshard.js')

// Short, but long enough that a caller who does not wait for ACTIVE fails.
const CHANGE_MS = 100

const parts = {
  dynalite: () =>
    require('dynalite')({ createTableMs: CHANGE_MS, deleteTableMs: CHANGE_MS, updateTableMs: CHANGE_MS }),
  kinesalite: () =>
    reshard(
      require('kinesalite')({
        createStreamMs: CHANGE_MS,
        deleteStreamMs: CHANGE_MS,
        updateStreamMs: CHANGE_MS,
        shardLimit: 10000,
      }),
    ),
}

const server = parts[process.argv[2]]()
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`))
process.stdin.on('end', () => process.exit(0)).resume()
