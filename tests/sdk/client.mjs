// A client of the service as the environment names it, and what tests and tool share.
//
// GOOGLE_GEMINI_BASE_URL and GEMINI_API_KEY are taken from the environment. The SDK reads
// them, too, but is told here, so that a GOOGLE_API_KEY of the user's cannot come between.

import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';

// Which of the installed SDKs; run tries each.
const { GoogleGenAI } = await import(process.env.SDK_PACKAGE || '@google/genai');

export const MODEL = 'gemini-3.8-flash';

// Unless they are told, SDKs from 3.0 on say v1, those before v1beta.
export function client(apiKey = process.env.GEMINI_API_KEY, apiVersion = undefined) {
  delete process.env.GOOGLE_API_KEY;
  return new GoogleGenAI({
    apiKey,
    httpOptions: { baseUrl: process.env.GOOGLE_GEMINI_BASE_URL, apiVersion },
  });
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const ENDED = new Set([
  'JOB_STATE_SUCCEEDED',
  'JOB_STATE_FAILED',
  'JOB_STATE_CANCELLED',
  'JOB_STATE_EXPIRED',
  'JOB_STATE_PARTIALLY_SUCCEEDED',
]);

// Polls until the job has ended, as the documentation's samples do.
export async function ended(ai, job, ms = 30000) {
  const until = Date.now() + ms;
  while (!ENDED.has(job.state)) {
    if (Date.now() > until) throw new Error(`${job.name} is still ${job.state}`);
    await sleep(100);
    job = await ai.batches.get({ name: job.name });
  }
  return job;
}

export async function collect(pager) {
  const all = [];
  for await (const one of await pager) all.push(one);
  return all;
}

// The SDK downloads to a path only.
export async function download(ai, file) {
  const dir = await mkdtemp(join(tmpdir(), 'batchfs-sdk-'));
  const path = join(dir, 'download');
  try {
    await ai.files.download({ file, downloadPath: path });
    return await settled(path);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

// Some versions come back before the last byte is on disk: read until two looks agree.
async function settled(path) {
  let before = null;
  for (;;) {
    const now = await readFile(path).catch(() => null);
    if (now && before && now.equals(before)) return now;
    before = now;
    await sleep(50);
  }
}

export const lines = (bytes) =>
  bytes
    .toString('utf8')
    .split('\n')
    .filter((l) => l.trim())
    .map((l) => JSON.parse(l));

export const jsonl = (objects) =>
  new Blob([objects.map((o) => JSON.stringify(o) + '\n').join('')], {
    type: 'application/jsonl',
  });

export const request = (text, more = {}) => ({
  contents: [{ role: 'user', parts: [{ text }] }],
  ...more,
});

export const answer = (response) =>
  response.candidates[0].content.parts.map((p) => p.text).join('');
