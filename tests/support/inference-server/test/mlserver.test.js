'use strict';
// The calls that Seldon MLServer answers otherwise.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { HELD_MS, assertError, call, startServer, writeFiles } = require('./support');

function writeModel(root, folder, name, answer = name, parameters = { uri: './model.json' }) {
  writeFiles(path.join(root, folder), {
    'model-settings.json': { name, implementation: 'tiny', parameters },
    'model.json': { kind: 'echo', answer },
  });
}

const start = (t) => startServer(t, { flavour: 'mlserver' });

async function withModel(t) {
  const server = await start(t);
  writeModel(server.root, 'deep/inside', 'm', 'one');
  assert.equal((await server.load('m')).status, 200);
  return server;
}

test('the name in model-settings.json counts, wherever the file is', async (t) => {
  const server = await withModel(t);
  assertError(await server.load('inside'), 404, 'Model inside not found');
  assert.equal((await server.ready('m')).status, 200);
  const { json } = await server.infer('m', { id: 'a', inputs: [] });
  assert.equal(json.id, 'a');
  assert.equal(json.outputs[0].data[0], 'one');
  assert.equal(json.model_version, undefined);
  assert.equal((await server.get('/v2/models/m')).json.name, 'm');
});

test('a uri that leads nowhere is 422', async (t) => {
  const server = await start(t);
  writeModel(server.root, 'm', 'm', 'one', { uri: './other.onnx' });
  assertError(await server.load('m'), 422, 'Invalid URI specified for model m (./other.onnx)');
});

test('the index wants JSON with its Content-Type', async (t) => {
  const server = await withModel(t);
  const index = (body, type) => call(server.port, 'POST', '/v2/repository/index', { body, headers: type ? { 'Content-Type': type } : {} });
  for (const answer of [await index(), await index('{}'), await index('{}', 'text/plain'), await index('{', 'application/json'), await index('{"ready": "x"}', 'application/json')]) {
    assert.equal(answer.status, 422);
    assert.ok(Array.isArray(answer.json.detail));
  }
  assert.equal((await index('{}', 'application/json')).status, 200);
});

test('entries of the index have no version', async (t) => {
  const server = await withModel(t);
  writeModel(server.root, 'b', 'never');
  assert.deepEqual(await server.index(), [
    { name: 'never', state: 'UNAVAILABLE', reason: '' },
    { name: 'm', state: 'READY', reason: '' },
  ]);
  assert.deepEqual(await server.index({ ready: true }), [{ name: 'm', state: 'READY', reason: '' }]);
});

test('a model that is loading is not ready, nor is the server', async (t) => {
  const server = await start(t);
  writeModel(server.root, 'm', 'm');
  await server.faults({ kind: 'slow_load', ms: HELD_MS });
  const load = server.load('m');
  await server.untilState('m', 'LOADING');
  const ready = await server.ready('m');
  assert.equal(ready.status, 400);
  assert.equal(ready.text, '');
  assertError(await server.infer('m'), 400, 'Model m is not ready yet.');
  assert.equal((await server.get('/v2/health/ready')).status, 400);
  await server.forget('faults');
  assert.equal((await load).status, 200);
  assert.equal((await server.get('/v2/health/ready')).status, 200);
});

test('an unknown model is 404 everywhere', async (t) => {
  const server = await start(t);
  for (const answer of [await server.load('x'), await server.unload('x'), await server.ready('x'), await server.infer('x'), await server.get('/v2/models/x')]) {
    assertError(answer, 404, 'Model x not found');
  }
});

test('a wrong version is 404', async (t) => {
  const server = await withModel(t);
  assertError(await server.get('/v2/models/m/versions/3/ready'), 404, 'Model m with version 3 not found');
});

test('unloading ends with the model gone; once more is 404', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'slow_unload', ms: 50 });
  assert.equal((await server.unload('m')).status, 200);
  assert.equal((await server.entry('m')).state, 'UNAVAILABLE');
  assertError(await server.unload('m'), 404, 'Model m not found');
});

test('a load that fails is 500 with a traceback as text', async (t) => {
  const server = await start(t);
  writeModel(server.root, 'm', 'm');
  fs.writeFileSync(path.join(server.root, 'm', 'model.json'), '{"kind": "none"}');
  const answer = await server.load('m');
  assert.equal(answer.status, 500);
  assert.match(answer.headers['content-type'], /^text\/plain/);
  assert.match(answer.text, /^Traceback \(most recent call last\):\n/);
  assert.match(answer.text.trimEnd().split('\n').pop(), /^RuntimeError: .*unknown kind 'none'/);
  assert.equal((await server.entry('m')).state, 'UNAVAILABLE');
});

test('a load of a loaded model replaces it', async (t) => {
  const server = await withModel(t);
  assert.equal((await server.load('m')).status, 200);
  assert.equal((await server.ask('models')).m.loads, 2);
});

test('calls about one model are taken in turn', async (t) => {
  const server = await start(t);
  writeModel(server.root, 'm', 'm');
  await server.faults({ kind: 'slow_load', ms: 50 });
  const [one, two] = await Promise.all([server.load('m'), server.load('m')]);
  assert.equal(one.status, 200);
  assert.equal(two.status, 200);
});

test('a path that does not exist is 404 in FastAPI\'s form', async (t) => {
  assert.deepEqual((await (await start(t)).get('/v3')).json, { detail: 'Not Found' });
});
