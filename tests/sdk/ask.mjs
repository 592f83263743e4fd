#!/usr/bin/env node
// What somebody would write who has requests in a file and wants the answers in the order
// asked: ask.mjs REQUESTS.jsonl ANSWERS.tsv [SECONDS between looks]. Measured by
// tests/bench beside batchfs; so it holds no more than it must, and parses each line once.

import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { once } from 'node:events';

import { MODEL, client, sleep } from './client.mjs';

const [from, to, pause = '30'] = process.argv.slice(2);
const ai = client();
const objects = async function* (path) {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  for await (const line of lines) if (line.trim()) yield JSON.parse(line);
};

const file = await ai.files.upload({ file: from, config: { mimeType: 'application/jsonl' } });
let job = await ai.batches.create({
  model: MODEL,
  src: file.name,
  config: { displayName: 'ask' },
});
while (!job.state.match(/SUCCEEDED|FAILED|CANCELLED|EXPIRED/)) {
  await sleep(Number(pause) * 1000);
  job = await ai.batches.get({ name: job.name });
}
const results = `${to}.results`;
await ai.files.download({ file: job.dest.fileName, downloadPath: results });

const texts = new Map();
for await (const { key, response, error } of objects(results)) {
  const parts = response?.candidates?.[0]?.content?.parts ?? [];
  texts.set(key, error?.message ?? parts.map((p) => p.text ?? '').join(''));
}
const out = createWriteStream(to);
const escaped = (text) =>
  text.replace(/[\\\t\n\r]/g, (c) => ({ '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' })[c]);
for await (const { key } of objects(from))
  if (!out.write(`${key}\t${escaped(texts.get(key) ?? '')}\n`)) await once(out, 'drain');
out.end();
await once(out, 'finish');
await rm(results);
