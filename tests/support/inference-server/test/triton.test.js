'use strict';
// Each call of the protocol, answered as Triton does.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const test = require('node:test');
const { HELD_MS, assertError, call, startServer, writeModel } = require('./support');

async function withModel(t, more) {
  const server = await startServer(t);
  writeModel(server.root, 'm', 'one', more);
  assert.equal((await server.load('m')).status, 200);
  return server;
}

test('health is a status without a body, and says nothing of models', async (t) => {
  const server = await startServer(t);
  for (const kind of ['live', 'ready']) {
    const answer = await server.get(`/v2/health/${kind}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '');
  }
});

test('server metadata names the extensions', async (t) => {
  const { json } = await (await startServer(t)).get('/v2');
  assert.equal(json.name, 'triton');
  assert.ok(json.extensions.includes('model_repository'));
});

test('a model is ready when it is loaded, and 400 before and after', async (t) => {
  const server = await startServer(t);
  writeModel(server.root, 'm');
  assertError(await server.ready('m'), 400, 'Model version not ready');
  assertError(await server.ready('unknown'), 400, 'Model version not ready');
  assert.equal((await server.load('m')).status, 200);
  const answer = await server.ready('m');
  assert.equal(answer.status, 200);
  assert.equal(answer.text, '');
  assert.equal((await server.get('/v2/models/m/versions/1/ready')).status, 200);
  assertError(await server.get('/v2/models/m/versions/2/ready'), 400, 'Model version not ready');
  await server.unload('m');
  assertError(await server.ready('m'), 400, 'Model version not ready');
});

test('metadata has name, versions, platform, inputs and outputs', async (t) => {
  const server = await withModel(t);
  const expected = {
    name: 'm', versions: ['1'], platform: 'rollout_tiny', inputs: [], outputs: [{ name: 'answer', datatype: 'BYTES', shape: [1] }],
  };
  assert.deepEqual((await server.get('/v2/models/m')).json, expected);
  assert.deepEqual((await server.get('/v2/models/m/versions/1')).json, expected);
  assertError(await server.get('/v2/models/x'), 400, "Request for unknown model: 'x' is not found");
  assertError(await server.get('/v2/models/m/versions/7'), 400, "Request for unknown model: 'm' version 7 is not found");
});

test('an inference is answered with its id, the version and the outputs', async (t) => {
  const server = await withModel(t);
  const input = { name: 'x', datatype: 'INT64', shape: [2], data: [1, 2] };
  const { status, json } = await server.infer('m', { id: 'a', inputs: [input] });
  assert.equal(status, 200);
  assert.deepEqual(json, {
    id: 'a', model_name: 'm', model_version: '1', outputs: [{ name: 'answer', datatype: 'BYTES', shape: [1], data: ['one'] }, input],
  });
  const versioned = await server.post('/v2/models/m/versions/1/infer', { inputs: [], outputs: [{ name: 'answer' }] });
  assert.deepEqual(versioned.json.outputs.map(({ name }) => name), ['answer']);
});

test('an inference that cannot be done is 400 with the reason', async (t) => {
  const server = await withModel(t);
  assertError(await server.infer('x'), 400, "Request for unknown model: 'x' is not found");
  assertError(await server.post('/v2/models/m/versions/3/infer', { inputs: [] }), 400, "Request for unknown model: 'm' version 3 is not found");
  assertError(await server.infer('m', {}), 400, /non-existing object member 'inputs'/);
  assertError(await server.infer('m', []), 400, /non-object/);
  assertError(await server.infer('m', { inputs: [{ name: 'x', datatype: 'FP32', shape: [3], data: [1] }] }), 400, /Shape does not match/);
  assertError(await server.infer('m', { inputs: [], outputs: [{ name: 'y' }] }), 400, /unexpected inference output 'y'/);
  assertError(await call(server.port, 'POST', '/v2/models/m/infer', { body: '{"inputs"' }), 400, /failed to parse the request JSON buffer/);
  assertError(await call(server.port, 'POST', '/v2/models/m/infer'), 400, /failed to parse the request JSON buffer/);
});

test('a model that is loading or failed to load has no available versions', async (t) => {
  const server = await startServer(t);
  writeModel(server.root, 'm', 'one', { answer: 1 });
  assert.equal((await server.load('m')).status, 400);
  assertError(await server.infer('m'), 400, "Request for unknown model: 'm' has no available versions");
});

test('the index shows what is in the folder, with a name only for what was never loaded', async (t) => {
  const server = await withModel(t);
  writeModel(server.root, 'never');
  writeModel(server.root, 'wrong', 'x', { kind: 'none' });
  fs.writeFileSync(path.join(server.root, 'a file'), '');
  await server.load('wrong');
  const [m, never, wrong] = await server.index();
  assert.deepEqual(m, { name: 'm', version: '1', state: 'READY' });
  assert.deepEqual(never, { name: 'never' });
  assert.equal(wrong.state, 'UNAVAILABLE');
  assert.match(wrong.reason, /unknown kind 'none'/);
});

test('the index of the ready ones leaves out all others', async (t) => {
  const server = await withModel(t);
  writeModel(server.root, 'never');
  assert.deepEqual(await server.index({ ready: true }), [{ name: 'm', version: '1', state: 'READY' }]);
  assert.equal((await server.index({ ready: false })).length, 2);
});

test('the index takes an empty body and no Content-Type, and refuses what it cannot read', async (t) => {
  const server = await withModel(t);
  assert.equal((await call(server.port, 'POST', '/v2/repository/index')).json.length, 1);
  assertError(await call(server.port, 'POST', '/v2/repository/index', { body: '{' }), 400, /failed to parse/);
  assertError(await server.post('/v2/repository/index', { ready: 'yes' }), 400, "Invalid value for 'ready': expected a boolean");
});

test('a load without a folder is 500', async (t) => {
  const server = await startServer(t);
  assertError(await server.load('m'), 500, "failed to load 'm', failed to poll from model repository");
});

test('a load without a version is 500; folders that are no version are ignored', async (t) => {
  const server = await startServer(t);
  for (const folder of ['01', 'v1', '0']) fs.mkdirSync(path.join(server.root, 'm', folder), { recursive: true });
  assertError(await server.load('m'), 500, "failed to load 'm', no version is available");
});

test('a load that the loader refuses is 400 with its words, and the index keeps them', async (t) => {
  const server = await startServer(t);
  fs.mkdirSync(path.join(server.root, 'm', '1'), { recursive: true });
  assertError(await server.load('m'), 400, /^load failed for model 'm': version 1 is at UNAVAILABLE state: .*unable to find/);
  assert.match((await server.entry('m')).reason, /unable to find/);
});

test('a config.pbtxt with another name is 400', async (t) => {
  const server = await startServer(t);
  writeModel(server.root, 'a');
  const config = path.join(server.root, 'a', 'config.pbtxt');
  fs.writeFileSync(config, 'input { name: "a" }\nname: "b" # name: "a"\n');
  assertError(await server.load('a'), 400, "unexpected directory name 'a' for model 'b', directory name must equal model name");
  fs.writeFileSync(config, 'input [ { name: "b" } ]\n');
  assert.equal((await server.load('a')).status, 200);
});

test('the highest version is loaded', async (t) => {
  const server = await startServer(t);
  writeModel(server.root, 'm', 'one');
  fs.cpSync(path.join(server.root, 'm', '1'), path.join(server.root, 'm', '10'), { recursive: true });
  fs.cpSync(path.join(server.root, 'm', '1'), path.join(server.root, 'm', '9'), { recursive: true });
  await server.load('m');
  assert.equal((await server.infer('m')).json.model_version, '10');
});

test('a load may bring its configuration and its files', async (t) => {
  const server = await withModel(t);
  const content = Buffer.from(JSON.stringify({ kind: 'echo', answer: 'brought' })).toString('base64');
  const load = (parameters) => server.load('m', { parameters });
  assertError(await load({ 'file:1/model.json': content }), 400, /'config' must be specified/);
  assertError(await load({ config: '{"name": "b"}' }), 400, /unexpected directory name 'm' for model 'b'/);
  assertError(await load({ config: '{' }), 400, /Invalid config override/);
  assertError(await load({ config: '{}', 'file:../x': content }), 400, /must stay within model directory/);
  assertError(await load({ config: '{}', 'file:1/model.json': '?' }), 400, /base64/);
  assert.equal((await server.infer('m')).json.outputs[0].data[0], 'one');
  assert.equal((await load({ config: '{"name": "m"}', 'file:1/model.json': content })).status, 200);
  assert.equal((await server.infer('m')).json.outputs[0].data[0], 'brought');
});

test('a model that is loaded again serves throughout, and stays if that fails', async (t) => {
  const server = await withModel(t);
  const file = path.join(server.root, 'm', '1', 'model.json');
  fs.writeFileSync(file, '{"kind": "echo", "answer": "two"}');
  assert.equal((await server.load('m')).status, 200);
  assert.equal((await server.infer('m')).json.outputs[0].data[0], 'two');
  fs.writeFileSync(file, '{');
  assert.equal((await server.load('m')).status, 400);
  assert.equal((await server.entry('m')).state, 'READY');
  assert.equal((await server.infer('m')).json.outputs[0].data[0], 'two');
});

test('loading what is loaded and has not changed does nothing', async (t) => {
  const server = await withModel(t);
  assert.equal((await server.load('m')).status, 200);
  assert.equal((await server.ask('models')).m.loads, 1);
});

test('an unload answers before the model is gone, which its requests in flight decide', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'slow_infer', ms: HELD_MS });
  const inference = server.infer('m');
  await server.untilBusy('m');
  assert.equal((await server.unload('m', { parameters: { unload_dependents: true } })).status, 200);
  assert.equal((await server.entry('m')).state, 'UNLOADING');
  assertError(await server.infer('m'), 400, "Request for unknown model: 'm' is not found");
  await server.forget('faults');
  assert.equal((await inference).status, 200);
  await server.untilState('m', 'UNAVAILABLE');
  assert.deepEqual(await server.entry('m'), { name: 'm', version: '1', state: 'UNAVAILABLE', reason: 'unloaded' });
});

test('even an idle model is not gone when its unload is answered', async (t) => {
  const server = await withModel(t);
  let state;
  server.server.frontEnd.http.prependOnceListener('request', (request, response) => {
    const { end } = response;
    response.end = (...args) => {
      state = server.server.repository.get('m').state;
      return end.apply(response, args);
    };
  });
  await server.unload('m');
  assert.equal(state, 'UNLOADING');
  await server.untilState('m', 'UNAVAILABLE');
});

test('unloading what is not loaded is 200', async (t) => {
  const server = await startServer(t);
  writeModel(server.root, 'm');
  assert.equal((await server.unload('m')).status, 200);
  assert.equal((await server.unload('unknown')).status, 200);
  assertError(await server.unload('m', { parameters: { unload_dependents: 1 } }), 400, /non-boolean/);
});

test('loads and unloads of one model do not overlap: the second is told so', async (t) => {
  const words = "a related model 'm' to a load/unload request is currently loading or unloading";
  const server = await startServer(t);
  writeModel(server.root, 'm');
  await server.faults({ kind: 'slow_load', ms: HELD_MS });
  const load = server.load('m');
  await server.untilState('m', 'LOADING');
  assertError(await server.load('m'), 500, words);
  assertError(await server.unload('m'), 500, words);
  await server.forget('faults');
  assert.equal((await load).status, 200);
  await server.faults({ kind: 'slow_unload', ms: HELD_MS });
  await server.unload('m');
  assertError(await server.load('m'), 500, words);
  assertError(await server.unload('m'), 500, words);
  await server.forget('faults');
  await server.untilState('m', 'UNAVAILABLE');
  assert.equal((await server.load('m')).status, 200);
});

test('a load goes on when its client goes away', async (t) => {
  const server = await startServer(t);
  writeModel(server.root, 'm');
  await server.faults({ kind: 'slow_load', ms: HELD_MS });
  const gone = http.request({ host: '127.0.0.1', port: server.port, method: 'POST', path: '/v2/repository/models/m/load' });
  const dropped = once(gone, 'error'); // the hang-up, as this end sees it
  gone.end();
  await server.untilState('m', 'LOADING');
  gone.destroy();
  await dropped;
  await server.forget('faults');
  await server.untilState('m', 'READY');
});

test('names are decoded, and none leads out of the folder', async (t) => {
  const server = await startServer(t);
  writeModel(server.root, 'a b');
  assert.equal((await server.load('a%20b')).status, 200);
  assert.equal((await server.ready('a%20b')).status, 200);
  for (const name of ['%2e%2e', '..%2Fx', 'a%00b']) assertError(await server.load(name), 400, /path traversal/);
  assertError(await server.load('%20'), 400, /cannot be empty/);
  assertError(await server.load('%zz'), 400, 'malformed path');
});

test('another path is 404, another method 405', async (t) => {
  const server = await startServer(t);
  assertError(await server.get('/v3'), 404, 'Not Found');
  assertError(await server.get('/v2/models'), 404, 'Not Found');
  assertError(await server.get('/v2/repository/index'), 405, 'Method Not Allowed');
  assertError(await server.post('/v2/models/m/ready'), 405, 'Method Not Allowed');
});

test('while the server stops it is not ready, and ends what it has begun', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'slow_infer', ms: HELD_MS });
  const inference = server.infer('m');
  await server.untilBusy('m');
  const stopped = server.server.stop();
  assertError(await server.ready('m'), 503, 'Server not ready');
  assertError(await server.load('m'), 503, 'Server not ready');
  assert.equal((await server.get('/v2/health/ready')).status, 400);
  await server.forget('faults');
  assert.equal((await inference).status, 200);
  await stopped;
  await assert.rejects(server.ready('m'), /ECONNREFUSED|ECONNRESET/);
});
