// Stores each tick of a delivery, then appends it to the stream and queues it for broadcast.
import { createHash } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand } from "@aws-sdk/lib-dynamodb";
import { KinesisClient, PutRecordCommand } from "@aws-sdk/client-kinesis";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { NodeHttpHandler } from "@smithy/node-http-handler";

const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));
// Its default is HTTP/2, which the stand-in for AWS does not speak.
const stream = new KinesisClient({ requestHandler: new NodeHttpHandler() });
const queue = new SQSClient({});
const { TICKS_TABLE, STREAM_NAME, BROADCAST_QUEUE_URL, WEBHOOK_SECRETS, KINESIS_PERCENTAGE } = process.env;

async function take(tick) {
  const id = createHash("sha256").update(`${tick.token}|${tick.timestamp}|${tick.price}`).digest("hex").slice(0, 32);
  const item = { ...tick, id, pk: `${tick.token}#${new Date(tick.timestamp).toISOString().slice(0, 10)}`, sk: `${tick.timestamp}#${id}` };
  await table.send(new PutCommand({ TableName: TICKS_TABLE, Item: item }));
  const json = JSON.stringify(item);
  const calls = [queue.send(new SendMessageCommand({ QueueUrl: BROADCAST_QUEUE_URL, MessageBody: json }))];
  if ((parseInt(id.slice(0, 8), 16) % 10000) / 100 < Number(KINESIS_PERCENTAGE)) {
    calls.push(stream.send(new PutRecordCommand({ StreamName: STREAM_NAME, PartitionKey: tick.token, Data: Buffer.from(json) })));
  }
  await Promise.all(calls);
}

export async function handler(event) {
  if (event.headers.authorization !== WEBHOOK_SECRETS) return { statusCode: 401 };
  const ticks = JSON.parse(event.body);
  await Promise.all(ticks.map(take));
  return { statusCode: 200, body: JSON.stringify({ stored: ticks.length }) };
}
