// Google's SDK drives the emulator: whatever it does with the service, it does here.
// Started by ./run, which starts the emulator.

import test from 'node:test';
import assert from 'node:assert/strict';
import {
  MODEL,
  answer,
  client,
  collect,
  download,
  ended,
  jsonl,
  lines,
  request,
} from './client.mjs';

const ai = client();
const base = process.env.GOOGLE_GEMINI_BASE_URL;

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

const upload = (blob, mimeType = 'application/jsonl', more = {}) =>
  ai.files.upload({ file: blob, config: { mimeType, ...more } });

async function createByFile(objects, displayName = 'by file') {
  const file = await upload(jsonl(objects));
  return ai.batches.create({ model: MODEL, src: file.name, config: { displayName } });
}

const createInline = (src, displayName = 'inline') =>
  ai.batches.create({ model: MODEL, src, config: { displayName } });

async function inlineAnswers(src) {
  const job = await ended(ai, await createInline(src));
  assert.equal(job.state, 'JOB_STATE_SUCCEEDED');
  return job.dest.inlinedResponses;
}

// The error's status and a part of its text.
const refused = (status, text) => (e) => {
  assert.equal(e.status, status, `status of: ${e.message}`);
  assert.match(e.message, text);
  return true;
};

const emu = (path) => fetch(`${base}/emu/${path}`, { method: 'POST' });

test('models: all of them, in pages', async () => {
  const all = await collect(ai.models.list({ config: { pageSize: 3 } }));
  const names = all.map((m) => m.name);
  assert.ok(names.includes('models/gemini-3.8-flash'));
  assert.ok(all.length > 5);
  assert.equal(new Set(names).size, names.length);
});

test('models: one', async () => {
  const m = await ai.models.get({ model: MODEL });
  assert.equal(m.name, `models/${MODEL}`);
  assert.ok(m.inputTokenLimit > 1000);
});

test('models: none of that name', async () => {
  await assert.rejects(ai.models.get({ model: 'gemini-0' }), refused(404, /NOT_FOUND/));
});

test('upload: JSONL', async () => {
  const blob = jsonl([{ key: 'a', request: request('hi') }]);
  const f = await upload(blob, 'application/jsonl', { displayName: 'in.jsonl' });
  assert.match(f.name, /^files\/[a-z0-9]{12}$/);
  assert.equal(f.displayName, 'in.jsonl');
  assert.equal(Number(f.sizeBytes), blob.size);
  assert.equal(f.state, 'ACTIVE');
  assert.equal(f.source, 'UPLOADED');
  assert.equal(Date.parse(f.expirationTime) - Date.parse(f.createTime), 48 * 3600 * 1000);
  const again = await ai.files.get({ name: f.name });
  assert.equal(again.sha256Hash, f.sha256Hash);
});

test('upload: a picture, under a name of its own', async () => {
  const f = await upload(new Blob([PNG]), 'image/png', { name: 'my-picture' });
  assert.equal(f.name, 'files/my-picture');
  assert.equal(f.mimeType, 'image/png');
  await assert.rejects(
    upload(new Blob([PNG]), 'image/png', { name: 'my-picture' }),
    refused(409, /already exists/),
  );
});

test('upload: twenty megabytes in pieces', async () => {
  const f = await upload(new Blob([Buffer.alloc(20_000_000, 'x')]), 'text/plain');
  assert.equal(Number(f.sizeBytes), 20_000_000);
});

test('upload: a piece whose reply lacks the status is sent again', async () => {
  const fault = 'match=upload&kind=garbage&text={}&after=1&skip=1';
  assert.ok((await emu(`fault?${fault}`)).ok);
  const f = await upload(new Blob([Buffer.alloc(20_000_000, 'y')]), 'text/plain');
  assert.equal(Number(f.sizeBytes), 20_000_000);
});

test('files: list, delete, gone', async () => {
  const f = await upload(jsonl([{ a: 1 }]));
  const before = await collect(ai.files.list({ config: { pageSize: 2 } }));
  assert.ok(before.some((x) => x.name === f.name));
  await ai.files.delete({ name: f.name });
  const after = await collect(ai.files.list({ config: { pageSize: 2 } }));
  assert.equal(after.length, before.length - 1);
  await assert.rejects(ai.files.get({ name: f.name }), refused(403, /may not exist/));
});

test('files: what was uploaded cannot be downloaded', async () => {
  const f = await upload(jsonl([{ a: 1 }]));
  await assert.rejects(download(ai, f.name));
});

test('create by file: state, results, download', async () => {
  const job = await createByFile([
    { key: 'a', request: request('hello') },
    { key: 'b', request: request('[emu:error 13]') },
    { key: 'c', request: request('[emu:blocked]') },
  ]);
  assert.match(job.name, /^batches\/[a-z0-9]{36}$/);
  assert.equal(job.state, 'JOB_STATE_PENDING');
  assert.equal(job.displayName, 'by file');
  assert.equal(job.model, `models/${MODEL}`);
  const done = await ended(ai, job);
  assert.equal(done.state, 'JOB_STATE_SUCCEEDED');
  assert.ok(Date.parse(done.endTime) >= Date.parse(done.createTime));
  assert.match(done.dest.fileName, /^files\/batch-[a-z0-9]{36}$/);
  const byKey = Object.fromEntries(
    lines(await download(ai, done.dest.fileName)).map((l) => [l.key, l]),
  );
  assert.deepEqual(Object.keys(byKey).sort(), ['a', 'b', 'c']);
  assert.equal(answer(byKey.a.response), 'You said: hello');
  assert.equal(byKey.b.error.code, 13);
  assert.equal(byKey.c.response.promptFeedback.blockReason, 'PROHIBITED_CONTENT');
});

test('the same by the version that newer SDKs take by themselves', async () => {
  const newer = client(undefined, 'v1');
  const file = await newer.files.upload({
    file: jsonl([{ key: 'a', request: request('hello') }]),
    config: { mimeType: 'application/jsonl' },
  });
  const job = await newer.batches.create({ model: MODEL, src: file.name });
  const done = await ended(newer, job);
  const [line] = lines(await download(newer, done.dest.fileName));
  assert.equal(answer(line.response), 'You said: hello');
});

test('create inline: answers carry their metadata', async () => {
  const got = await inlineAnswers([
    { ...request('one'), metadata: { key: 'k1' } },
    { ...request('two'), metadata: { key: 'k2', page: '7' } },
    { ...request('[emu:error 3]'), metadata: { key: 'k3' } },
  ]);
  const byKey = Object.fromEntries(got.map((r) => [r.metadata.key, r]));
  assert.equal(answer(byKey.k1.response), 'You said: one');
  assert.equal(answer(byKey.k2.response), 'You said: two');
  assert.equal(byKey.k2.metadata.page, '7');
  assert.equal(byKey.k3.error.code, 3);
});

test('structured output fits the schema', async () => {
  const [r] = await inlineAnswers([
    {
      ...request('list two'),
      config: {
        responseMimeType: 'application/json',
        responseSchema: {
          type: 'ARRAY',
          minItems: 2,
          items: {
            type: 'OBJECT',
            properties: {
              name: { type: 'STRING' },
              count: { type: 'INTEGER' },
              kind: { type: 'STRING', enum: ['cat', 'dog'] },
            },
            required: ['name', 'count'],
          },
        },
      },
    },
  ]);
  const value = JSON.parse(answer(r.response));
  assert.equal(value.length, 2);
  assert.equal(typeof value[0].name, 'string');
  assert.ok(Number.isInteger(value[0].count));
  assert.equal(value[0].kind, 'cat');
});

test('system instruction, tools and temperature arrive', async () => {
  const [r] = await inlineAnswers([
    {
      ...request('hi'),
      config: {
        systemInstruction: 'Be brief.',
        temperature: 0.25,
        tools: [{ googleSearch: {} }, { codeExecution: {} }],
      },
    },
  ]);
  const text = answer(r.response);
  assert.match(text, /\[system: Be brief\.\]/);
  assert.match(text, /\[tool: googleSearch\]/);
  assert.match(text, /\[tool: codeExecution\]/);
  assert.match(text, /\[temperature: 0\.25\]/);
});

test('function calls come back', async () => {
  const [r] = await inlineAnswers([request('[emu:function] now')]);
  assert.equal(r.response.functionCalls?.[0]?.name ??
    r.response.candidates[0].content.parts[0].functionCall.name, 'do_something');
});

test('a request refers to an uploaded picture', async () => {
  const picture = await upload(new Blob([PNG]), 'image/png');
  const parts = [
    { text: 'what is it?' },
    { fileData: { fileUri: picture.uri, mimeType: 'image/png' } },
  ];
  const [r] = await inlineAnswers([{ contents: [{ role: 'user', parts }] }]);
  assert.match(answer(r.response), new RegExp(`\\[file: image/png, ${PNG.length} bytes\\]`));
});

test('a request refers to a picture that is not there', async () => {
  const nowhere = { contents: [
    { parts: [{ fileData: { fileUri: `${base}/v1beta/files/nowhere` } }] },
  ] };
  await assert.rejects(createByFile([{ key: 'a', request: nowhere }]), { status: 403 });
  const [r] = await inlineAnswers([nowhere]);
  assert.equal(r.error.code, 7);
});

// The newer model has them below inlinedResponses, the older below a name of their own.
for (const model of ['gemini-embedding-2', 'gemini-embedding-001']) {
  test(`embeddings of ${model}`, async () => {
    const job = await ai.batches.createEmbeddings({
      model,
      src: { inlinedRequests: { contents: ['a', 'b'].map((t) => ({ parts: [{ text: t }] })) } },
    });
    const done = await ended(ai, job);
    assert.equal(done.state, 'JOB_STATE_SUCCEEDED');
    assert.equal(done.dest.inlinedEmbedContentResponses.length, 2);
    assert.equal(done.dest.inlinedEmbedContentResponses[0].response.embedding.values.length, 8);
  });
}

test('list: pages, newest first, nothing twice', async () => {
  const made = [];
  for (let i = 0; i < 5; i++) made.push((await createInline([request(`p${i}`)], `list ${i}`)).name);
  const pager = await ai.batches.list({ config: { pageSize: 2 } });
  assert.equal(pager.page.length, 2);
  const names = (await collect(ai.batches.list({ config: { pageSize: 2 } }))).map((j) => j.name);
  assert.equal(new Set(names).size, names.length);
  assert.deepEqual(
    names.filter((n) => made.includes(n)),
    made.reverse(),
  );
});

test('cancel while pending', async () => {
  await emu('set?pending=1000');
  try {
    const job = await createInline([request('never')]);
    await ai.batches.cancel({ name: job.name });
    const done = await ended(ai, job);
    assert.equal(done.state, 'JOB_STATE_CANCELLED');
  } finally {
    await emu('set?pending=0.1');
  }
});

test('cancel while running: answered lines are kept', async () => {
  await emu('set?pending=0&running=1000');
  try {
    let job = await createByFile([{ key: 'a', request: request('x') }]);
    while (job.state !== 'JOB_STATE_RUNNING') job = await ai.batches.get({ name: job.name });
    await ai.batches.cancel({ name: job.name });
    const done = await ended(ai, job);
    assert.equal(done.state, 'JOB_STATE_SUCCEEDED');
    const [line] = lines(await download(ai, done.dest.fileName));
    assert.deepEqual(line.error, { code: 1 });
  } finally {
    await emu('set?pending=0.1&running=0.1');
  }
});

test('delete: the job and its output are gone', async () => {
  const done = await ended(ai, await createByFile([{ key: 'a', request: request('x') }]));
  await ai.batches.delete({ name: done.name });
  await assert.rejects(ai.batches.get({ name: done.name }), refused(404, /NOT_FOUND/));
  await assert.rejects(download(ai, done.dest.fileName));
});

test('a failed job', async () => {
  await emu('set?outcome=failed');
  try {
    const done = await ended(ai, await createInline([request('x')]));
    assert.equal(done.state, 'JOB_STATE_FAILED');
  } finally {
    await emu('set?outcome=succeeded');
  }
});

test('refused: a bad key', async () => {
  await assert.rejects(
    client('invalid').batches.list({ config: { pageSize: 1 } }),
    refused(400, /API key not valid/),
  );
});

test('refused: a model that cannot run batches', async () => {
  await assert.rejects(
    ai.batches.create({ model: 'gemma-3-27b-it', src: [request('x')] }),
    refused(404, /not supported for batchGenerateContent/),
  );
});

test('refused: a bad line, by number', async () => {
  const file = await upload(
    jsonl([
      { key: 'a', request: request('good') },
      { key: 'b', request: { ...request('bad'), thinking_config: {} } },
    ]),
  );
  await assert.rejects(
    ai.batches.create({ model: MODEL, src: file.name }),
    refused(400, /Error on line 2: .*no such field: 'thinking_config'/),
  );
});

test('refused: a missing input file', async () => {
  await assert.rejects(
    ai.batches.create({ model: MODEL, src: 'files/nowhere12345' }),
    refused(404, /not found/),
  );
});

test('refused: a missing job', async () => {
  await assert.rejects(
    ai.batches.get({ name: 'batches/nowhere12345' }),
    refused(404, /not found/),
  );
});

test('jobs and files belong to the project of the key', async () => {
  const file = await upload(jsonl([{ key: 'a', request: request('x') }]));
  const other = client('another-key');
  assert.equal((await collect(other.batches.list({ config: { pageSize: 5 } }))).length, 0);
  await assert.rejects(other.files.get({ name: file.name }), refused(403, /may not exist/));
  await assert.rejects(
    other.batches.create({ model: MODEL, src: file.name }),
    refused(404, /not found/),
  );
});

test('countTokens: what the results will say', async () => {
  const src = [request('How many tokens is this? Ünd das?')];
  const { totalTokens } = await ai.models.countTokens({
    model: MODEL,
    contents: src[0].contents,
  });
  const [one] = await inlineAnswers(src);
  assert.equal(totalTokens, one.response.usageMetadata.promptTokenCount);
});

test('countTokens: none', async () => {
  await assert.rejects(
    ai.models.countTokens({ model: 'gemini-0', contents: 'hi' }),
    refused(404, /NOT_FOUND/),
  );
  assert.ok((await emu('fault?match=count_tokens&kind=status&status=429')).ok);
  await assert.rejects(
    ai.models.countTokens({ model: MODEL, contents: 'hi' }),
    refused(429, /RESOURCE_EXHAUSTED/),
  );
});

test('create: a queue that is full, and one that is not any more', async () => {
  const create = () => createInline([request('twelve bytes')], 'queue');
  assert.ok((await emu('set?queue_tokens=1&quota_text=named')).ok);
  await assert.rejects(create(), refused(429, /RESOURCE_EXHAUSTED.*batch_enqueued_tokens/s));
  assert.ok((await emu('set?queue_tokens=0&quota_text=quota')).ok);
  assert.equal((await ended(ai, await create())).state, 'JOB_STATE_SUCCEEDED');
});
