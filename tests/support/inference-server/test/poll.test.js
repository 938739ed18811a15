'use strict';
// A server that looks after its models itself: --control poll and none.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { HELD_MS, assertError, startServer, temporaryFolder, until, writeModel } = require('./support');

const POLL = { control: 'poll', pollSecs: 0.02 };

const isReady = (server, name) => until(async () => (await server.ready(name)).status === 200, `${name} to be ready`);

// As one must with a polled repository: made elsewhere, renamed in.
function appear(t, server, name, answer) {
  const staging = temporaryFolder(t);
  writeModel(staging, name, answer);
  fs.renameSync(path.join(staging, name), path.join(server.root, name));
}

// A server whose model m has lost its folder while it works on an inference, which goes on until its faults are forgotten.
async function unloadingWhileBusy(t) {
  const server = await startServer(t, POLL);
  appear(t, server, 'm', 'one');
  await isReady(server, 'm');
  await server.faults({ kind: 'slow_infer', ms: HELD_MS });
  const inference = server.infer('m');
  await server.untilBusy('m');
  fs.rmSync(path.join(server.root, 'm'), { recursive: true });
  await until(async () => (await server.ask('models')).m.state === 'UNLOADING', 'm to be unloading');
  return { server, inference };
}

for (const control of ['poll', 'none']) {
  test(`with control ${control}, loads and unloads are 503`, async (t) => {
    const server = await startServer(t, { ...POLL, control }, (root) => writeModel(root, 'm'));
    await isReady(server, 'm');
    const words = 'explicit model load / unload is not allowed if polling is enabled';
    assertError(await server.load('m'), 503, words);
    assertError(await server.unload('m'), 503, words);
  });
}

test('what is there at the start is loaded before the server is ready', async (t) => {
  const server = await startServer(t, POLL, (root) => writeModel(root, 'm', 'one', { faults: [{ kind: 'slow_load', ms: HELD_MS }] }));
  assertError(await server.ready('m'), 503, 'Server not ready');
  assertError(await server.infer('m'), 503, 'Server not ready');
  assert.equal((await server.get('/v2/health/ready')).status, 400);
  await server.forget('faults');
  await isReady(server, 'm');
  assert.equal((await server.get('/v2/health/ready')).status, 200);
});

test('what appears is loaded, what disappears is unloaded', async (t) => {
  const server = await startServer(t, POLL);
  appear(t, server, 'm', 'one');
  await isReady(server, 'm');
  fs.renameSync(path.join(server.root, 'm'), path.join(temporaryFolder(t), 'm'));
  await until(async () => (await server.ready('m')).status === 400, 'm to be unloaded');
  await until(async () => (await server.ask('models')).m.state === 'UNAVAILABLE', 'm to be gone');
  assert.deepEqual(await server.index(), []);
  assert.deepEqual(await server.ask('violations'), []);
});

test('a model whose folder disappears finishes its requests', async (t) => {
  const { server, inference } = await unloadingWhileBusy(t);
  await server.forget('faults');
  assert.equal((await inference).status, 200);
});

test('a folder that comes while the one before it is unloading is no violation, and is loaded then', async (t) => {
  const { server, inference } = await unloadingWhileBusy(t);
  appear(t, server, 'm', 'two');
  await server.forget('faults');
  await inference;
  await isReady(server, 'm');
  assert.equal((await server.infer('m')).json.outputs[0].data[0], 'two');
  assert.deepEqual(await server.ask('violations'), []);
});

test('what has changed is loaded again, and a load that failed is tried again with other files', async (t) => {
  const server = await startServer(t, POLL);
  appear(t, server, 'm', 'one');
  await isReady(server, 'm');
  const file = path.join(server.root, 'm', '1', 'model.json');
  fs.writeFileSync(file, '{"kind": "no');
  await until(async () => (await server.ask('models')).m.failed_loads === 1, 'the change to be seen');
  assert.equal((await server.infer('m')).json.outputs[0].data[0], 'one');
  fs.writeFileSync(file, '{"kind": "echo", "answer": "two"}');
  await until(async () => (await server.infer('m')).json.outputs[0].data[0] === 'two', 'the new answer');
});

test('a loose folder at the top is taken for a model', async (t) => {
  const server = await startServer(t, POLL);
  appear(t, server, '.m.staging', 'half');
  await isReady(server, '.m.staging');
});

test('with control none, nothing is loaded after the start', async (t) => {
  const server = await startServer(t, { ...POLL, control: 'none' }, (root) => writeModel(root, 'm'));
  await isReady(server, 'm');
  appear(t, server, 'late', 'one');
  assert.equal(server.server.poller.timer, undefined);
  assert.deepEqual(await server.entry('late'), { name: 'late' });
});
