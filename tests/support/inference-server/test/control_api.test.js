'use strict';
// What a test learns from the server: models, violations, calls.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { MAX_CALLS, CallLog } = require('../call_log');
const { HELD_MS, call, startServer, writeModel } = require('./support');

async function withModel(t) {
  const server = await startServer(t);
  writeModel(server.root, 'm', 'one');
  assert.equal((await server.load('m')).status, 200);
  return server;
}

test('models: state, requests in flight, counts', async (t) => {
  const server = await withModel(t);
  await server.infer('m');
  await server.faults({ kind: 'failed_infer', times: 1 });
  await server.infer('m');
  const idle = { state: 'READY', reason: '', version: '1', inflight: 0, loads: 1, failed_loads: 0, unloads: 0, infers: 1, failed_infers: 1 };
  assert.deepEqual(await server.ask('models'), { m: idle });
  await server.faults({ kind: 'slow_infer', ms: HELD_MS });
  const inference = server.infer('m');
  await server.untilBusy('m');
  assert.equal((await server.ask('models')).m.inflight, 1);
  await server.forget('faults');
  await inference;
});

const what = async (server) => (await server.ask('violations')).map(({ model, state, file, what: kind }) => [model, state, file, kind]);

test('violations: a file that is removed while the model is loaded', async (t) => {
  const server = await withModel(t);
  fs.rmSync(path.join(server.root, 'm'), { recursive: true });
  assert.deepEqual(await what(server), [['m', 'READY', '1/model.json', 'vanished']]);
  await server.forget('violations');
  assert.deepEqual(await server.ask('violations'), []);
});

test('violations: a file that is changed while the model is loading or unloading', async (t) => {
  const server = await startServer(t);
  writeModel(server.root, 'm', 'one');
  await server.faults({ kind: 'slow_load', ms: HELD_MS });
  const load = server.load('m');
  await server.untilState('m', 'LOADING');
  writeModel(server.root, 'm', 'another');
  await server.forget('faults');
  await load;
  assert.deepEqual(await what(server), [['m', 'LOADING', '1/model.json', 'changed']]);
  await server.forget('violations');
  await server.faults({ kind: 'slow_unload', ms: HELD_MS });
  await server.unload('m');
  fs.rmSync(path.join(server.root, 'm'), { recursive: true });
  assert.deepEqual(await what(server), [['m', 'UNLOADING', '1/model.json', 'vanished']]);
});

test('violations: none for files that go after the model', async (t) => {
  const server = await withModel(t);
  await server.unload('m');
  await server.untilState('m', 'UNAVAILABLE');
  fs.rmSync(path.join(server.root, 'm'), { recursive: true });
  assert.deepEqual(await server.ask('violations'), []);
  assert.deepEqual(await server.index(), []);
});

test('calls: method, path and status, in the order in which they came', async (t) => {
  const server = await withModel(t);
  await server.get('/v2/models/m/ready?x=1');
  await server.get('/nothing');
  const calls = (await server.ask('calls')).map(({ method, path: where, status }) => `${method} ${where} ${status}`);
  assert.deepEqual(calls, ['POST /v2/repository/models/m/load 200', 'GET /v2/models/m/ready 200', 'GET /nothing 404']);
  await server.forget('calls');
  assert.deepEqual(await server.ask('calls'), []);
});

test('calls: the oldest are forgotten', () => {
  const log = new CallLog();
  for (let i = 0; i <= MAX_CALLS; i += 1) log.begin('GET', `/${i}`);
  assert.equal(log.calls.length, MAX_CALLS);
  assert.equal(log.calls[0].path, '/1');
});

test('another path of the control API is 404, another method 405', async (t) => {
  const server = await startServer(t);
  assert.equal((await server.get('/test')).status, 404);
  assert.equal((await server.get('/test/constructor')).status, 404);
  assert.equal((await call(server.port, 'DELETE', '/test/models')).status, 405);
});
