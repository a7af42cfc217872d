// UpdateShardCount, which kinesalite does not have: equal shards, made by its own splits and merges, in the order that
// AWS allows, one change at a time. This is ours, not kinesalite's, and not AWS's.
'use strict'

const http = require('http')

const SERVICE = 'Kinesis_20131202.'
const HASH_KEYS = 1n << 128n

module.exports = server => {
  const [serve] = server.listeners('request')
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    if (request.headers['x-amz-target'] !== SERVICE + 'UpdateShardCount') return serve(request, response)
    const chunks = []
    request.on('data', chunk => chunks.push(chunk)).on('end', () => {
      const asked = JSON.parse(Buffer.concat(chunks))
      const call = caller(server.address().port, request.headers)
      change(call, asked).then(
        answer => send(response, 200, answer),
        error => send(response, 400, { __type: error.name, message: error.message }),
      )
    })
  })
  return server
}

function send(response, status, answer) {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' })
  response.end(JSON.stringify(answer))
}

// Calls kinesalite with the headers of the caller, which has to be signed somehow.
function caller(port, headers) {
  return (operation, fields) =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify(fields)
      const own = { ...headers, 'x-amz-target': SERVICE + operation, 'content-length': Buffer.byteLength(body) }
      const request = http.request({ port, host: '127.0.0.1', method: 'POST', headers: own }, response => {
        const chunks = []
        response.on('data', chunk => chunks.push(chunk)).on('end', () => {
          const answer = JSON.parse(Buffer.concat(chunks).toString() || '{}')
          if (response.statusCode === 200) return resolve(answer)
          reject(Object.assign(new Error(answer.message), { name: answer.__type }))
        })
      })
      request.on('error', reject).end(body)
    })
}

// Answers when the stream is ACTIVE again, so that nobody sees it so in between. AWS answers at once.
async function change(call, { StreamName: stream, TargetShardCount: count }) {
  const before = await active(call, stream)
  if (count > 2 * before || count < before / 2 || count === before) {
    const message = `${before} shards cannot become ${count}`
    throw Object.assign(new Error(message), { name: 'InvalidArgumentException' })
  }
  const starts = Array.from({ length: count }, (_, n) => (HASH_KEYS * BigInt(n)) / BigInt(count))
  while (await step(call, stream, starts)) await active(call, stream)
  return { StreamName: stream, CurrentShardCount: before, TargetShardCount: count }
}

// Waits for a change to end, and returns the number of open shards.
async function active(call, stream) {
  for (;;) {
    const { StreamDescriptionSummary: summary } = await call('DescribeStreamSummary', { StreamName: stream })
    if (summary.StreamStatus === 'ACTIVE') return summary.OpenShardCount
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

// Does the next split or merge, if one is left.
async function step(call, stream, starts) {
  const { Shards: shards } = await call('ListShards', { StreamName: stream })
  const open = shards
    .filter(shard => !shard.SequenceNumberRange.EndingSequenceNumber)
    .map(shard => ({
      id: shard.ShardId,
      from: BigInt(shard.HashKeyRange.StartingHashKey),
      to: BigInt(shard.HashKeyRange.EndingHashKey),
    }))
    .sort((one, other) => (one.from < other.from ? -1 : 1))
  for (const start of starts) {
    const around = open.find(shard => shard.from < start && start <= shard.to)
    if (around) {
      await call('SplitShard', { StreamName: stream, ShardToSplit: around.id, NewStartingHashKey: String(start) })
      return true
    }
  }
  const extra = open.findIndex(shard => !starts.includes(shard.from))
  if (extra < 0) return false
  const [left, right] = [open[extra - 1], open[extra]]
  await call('MergeShards', { StreamName: stream, ShardToMerge: left.id, AdjacentShardToMerge: right.id })
  return true
}
