#!/usr/bin/env node
// Batch jobs from the shell, by way of Google's SDK.
//
//   tool.mjs create NAME FILE.jsonl   uploads, makes the job, prints its name
//   tool.mjs inline NAME PROMPT...    a job with inline requests; keys k1, k2, …
//   tool.mjs list                     name, state and display name of all jobs, by tabs
//   tool.mjs get ID                   the job as the SDK has it, as JSON
//   tool.mjs wait ID                  until it has ended; prints the state
//   tool.mjs download ID              the results as JSONL
//   tool.mjs cancel ID | delete ID
//   tool.mjs upload FILE [MIME]       prints the file's name
//
// ID with or without "batches/". GOOGLE_GEMINI_BASE_URL and GEMINI_API_KEY must be set.

import { MODEL, client, collect, download, ended, request } from './client.mjs';

const ai = client();
const jobName = (id) => (id.startsWith('batches/') ? id : `batches/${id}`);
const print = (text) => process.stdout.write(`${text}\n`);

async function upload(path, mimeType = 'application/jsonl') {
  return ai.files.upload({ file: path, config: { mimeType } });
}

async function create(displayName, path) {
  const file = await upload(path);
  const job = await ai.batches.create({
    model: MODEL,
    src: file.name,
    config: { displayName },
  });
  print(job.name);
}

async function inline(displayName, ...prompts) {
  const src = prompts.map((text, i) => ({
    ...request(text),
    metadata: { key: `k${i + 1}` },
  }));
  const job = await ai.batches.create({ model: MODEL, src, config: { displayName } });
  print(job.name);
}

async function list() {
  const jobs = await collect(ai.batches.list({ config: { pageSize: 100 } }));
  for (const j of jobs) print(`${j.name}\t${j.state}\t${j.displayName ?? ''}`);
}

async function get(id) {
  print(JSON.stringify(await ai.batches.get({ name: jobName(id) }), null, 2));
}

async function wait(id) {
  const job = await ai.batches.get({ name: jobName(id) });
  print((await ended(ai, job)).state);
}

async function results(id) {
  const job = await ai.batches.get({ name: jobName(id) });
  if (job.dest?.fileName) {
    process.stdout.write(await download(ai, job.dest.fileName));
    return;
  }
  for (const r of job.dest?.inlinedResponses ?? []) print(JSON.stringify(r));
}

const verbs = {
  create,
  inline,
  list,
  get,
  wait,
  download: results,
  cancel: (id) => ai.batches.cancel({ name: jobName(id) }),
  delete: (id) => ai.batches.delete({ name: jobName(id) }),
  upload: async (path, mime) => print((await upload(path, mime)).name),
};

const [verb, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(verbs, verb ?? '')) {
  process.stderr.write(`usage: tool.mjs ${Object.keys(verbs).join('|')} ...\n`);
  process.exit(2);
}
try {
  await verbs[verb](...rest);
} catch (e) {
  process.stderr.write(`${e.message ?? e}\n`);
  process.exitCode = 1;
}
