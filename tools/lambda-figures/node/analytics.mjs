// Averages, a candle of a minute and a z-score for each pair of a batch, kept in memory; one write a pair.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand } from "@aws-sdk/lib-dynamodb";

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const pairs = new Map();
const HELD_MAX = 100;

function fold(tick) {
  const name = `${tick.token}#${tick.quote}`;
  const pair = pairs.get(name) ?? { name, prices: [], candle: undefined };
  pairs.set(name, pair);
  const price = Number(tick.price);
  pair.prices.push(price);
  if (pair.prices.length > HELD_MAX) pair.prices.shift();
  const start = Math.floor(tick.timestamp / 60000) * 60000;
  const { candle } = pair;
  if (candle?.start === start) {
    candle.high = Math.max(candle.high, price);
    candle.low = Math.min(candle.low, price);
    candle.close = price;
    candle.count += 1;
  } else {
    pair.candle = { start, open: price, high: price, low: price, close: price, count: 1 };
  }
  const mean = pair.prices.reduce((sum, one) => sum + one, 0) / pair.prices.length;
  const variance = pair.prices.reduce((sum, one) => sum + (one - mean) ** 2, 0) / pair.prices.length;
  pair.mean = mean;
  pair.score = variance > 0 ? Math.abs(price - mean) / Math.sqrt(variance) : 0;
  return pair;
}

export async function handler(event) {
  const changed = new Set();
  for (const record of event.Records) {
    changed.add(fold(JSON.parse(Buffer.from(record.kinesis.data, "base64").toString())));
  }
  await Promise.all([...changed].map((pair) => table.send(new PutCommand({
    TableName: process.env.ANALYTICS_TABLE,
    Item: { pk: `candles#${pair.name}`, sk: String(pair.candle.start), mean: pair.mean, score: pair.score, ...pair.candle },
  }))));
  return { batchItemFailures: [] };
}
