'use strict';
// Each fault that a test can switch on, as a client meets it.

const assert = require('node:assert/strict');
const http = require('node:http');
const test = require('node:test');
const { HELD_MS, assertError, call, startServer, writeModel } = require('./support');

async function withModel(t) {
  const server = await startServer(t);
  writeModel(server.root, 'm', 'one');
  writeModel(server.root, 'other', 'other');
  assert.equal((await server.load('m')).status, 200);
  return server;
}

const isDropped = (promise) => assert.rejects(promise, /ECONNRESET|socket hang up/);

test('slow_load: the load answers late', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'slow_load', model: 'oth*', ms: 60 });
  const before = Date.now();
  assert.equal((await server.load('other')).status, 200);
  assert.ok(Date.now() - before >= 55);
});

test('slow_load: meanwhile the index says LOADING; clearing the faults ends it', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'slow_load', ms: HELD_MS });
  const load = server.load('other');
  await server.untilState('other', 'LOADING');
  assertError(await server.ready('other'), 400, 'Model version not ready');
  await server.forget('faults');
  assert.equal((await load).status, 200);
});

test('failed_load: the loader\'s words, or a status and words of the test\'s own', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'failed_load', model: 'other' });
  assertError(await server.load('other'), 400, /^load failed for model 'other': version 1 is at UNAVAILABLE state: Internal: injected failure;/);
  assert.match((await server.entry('other')).reason, /injected/);
  await server.faults({ kind: 'failed_load', error: 'no memory for {model}' });
  assertError(await server.load('other'), 400, /no memory for other/);
  await server.faults({ kind: 'failed_load', status: 500, error: "failed to load '{model}', no version is available" });
  assertError(await server.load('other'), 500, "failed to load 'other', no version is available");
  assert.equal((await server.ready('m')).status, 200);
});

test('other_version: as if another one were loaded', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'other_version', version: '2', model: 'm' });
  assert.equal((await server.entry('m')).version, '2');
});

test('never_ready: loaded and in the index, but not ready', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'never_ready', model: 'm' });
  assertError(await server.ready('m'), 400, 'Model version not ready');
  assert.equal((await server.entry('m')).state, 'READY');
});

test('slow_unload: UNLOADING for so long', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'slow_unload', ms: 80 });
  const before = Date.now();
  assert.equal((await server.unload('m')).status, 200);
  await server.untilState('m', 'UNAVAILABLE');
  assert.ok(Date.now() - before >= 75);
});

test('failed_unload: 500, and the model goes on serving', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'failed_unload', model: 'm', times: 1 });
  assertError(await server.unload('m'), 500, "failed to unload 'm', versions that are still available: 1");
  assert.equal((await server.infer('m')).status, 200);
  assert.equal((await server.unload('m')).status, 200);
});

test('related: 500 for a load or an unload, as if another one were going on', async (t) => {
  const server = await withModel(t);
  const words = (name) => `a related model '${name}' to a load/unload request is currently loading or unloading`;
  await server.faults({ kind: 'related', route: 'load', times: 1 }, { kind: 'related', route: 'unload', related: 'other', times: 1 });
  assertError(await server.load('m'), 500, words('m'));
  assert.equal((await server.load('m')).status, 200);
  assertError(await server.unload('m'), 500, words('other'));
  assert.equal((await server.unload('m')).status, 200);
});

test('slow_infer: the answer comes late', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'slow_infer', model: 'm', ms: 60 });
  const before = Date.now();
  assert.equal((await server.infer('m')).status, 200);
  assert.ok(Date.now() - before >= 55);
});

test('failed_infer: a backend\'s failure, for a share of the calls', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'failed_infer', model: 'm' });
  assertError(await server.infer('m'), 500, /injected failure/);
  await server.faults({ kind: 'failed_infer', share: 0.25, status: 429, error: 'too many' });
  const statuses = [];
  for (let i = 0; i < 20; i += 1) statuses.push((await server.infer('m')).status);
  assert.equal(statuses.filter((status) => status === 429).length, 5);
  assert.equal(statuses.filter((status) => status === 200).length, 15);
});

test('unavailable: 503, on one route or on all', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'unavailable', route: 'index' });
  assertError(await server.post('/v2/repository/index', {}), 503, 'Server not ready');
  assert.equal((await server.ready('m')).status, 200);
  await server.faults({ kind: 'unavailable', times: 2 });
  assert.equal((await server.get('/v2/health/live')).status, 503);
  assert.equal((await server.ready('m')).status, 503);
  assert.equal((await server.ready('m')).status, 200);
});

test('dropped: no answer, and nothing done', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'dropped', route: 'load', times: 1 });
  await isDropped(server.load('other'));
  assert.equal((await server.ask('models')).other, undefined);
  assert.deepEqual((await server.ask('calls')).map(({ status }) => status), [200, null]);
  assert.equal((await server.load('other')).status, 200);
});

test('dropped with carried_out: no answer, but done', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'dropped', carried_out: true });
  await isDropped(server.load('other'));
  await isDropped(server.unload('m'));
  await server.forget('faults');
  assert.equal((await server.ready('other')).status, 200);
  await server.untilState('m', 'UNAVAILABLE');
});

// What came of a body before the reader had enough of it: `{status, length, bytes}`.
function begin(port, path, enough) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let bytes = 0;
      response.on('data', (part) => {
        bytes += part.length;
        if (bytes < enough) return;
        request.destroy();
        resolve({ status: response.statusCode, length: Number(response.headers['content-length']), bytes });
      });
    });
    request.on('error', reject);
  });
}

test('stalled: the first bytes of a body, and no more', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'stalled', route: 'ready', times: 1 });
  const { status, length, bytes } = await begin(server.port, '/v2/models/m/ready', 1);
  assert.equal(status, 200);
  assert.ok(length > bytes);
  assert.equal((await server.ready('m')).status, 200);
});

test('endless: a body of 10 GB, for as long as it is read', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'endless', route: 'ready', times: 1 });
  const { length, bytes } = await begin(server.port, '/v2/models/m/ready', 4 * 1024 * 1024);
  assert.ok(bytes >= 4 * 1024 * 1024);
  assert.ok(length > 10e9);
  assert.equal((await server.ready('m')).status, 200);
});

test('html: a page of a proxy', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'html', route: 'ready', times: 1 }, { kind: 'html', status: 504 });
  const answer = await server.ready('m');
  assert.equal(answer.status, 502);
  assert.equal(answer.headers['content-type'], 'text/html');
  assert.match(answer.text, /<h1>502 Bad Gateway<\/h1>/);
  assert.equal((await server.ready('m')).status, 504);
});

test('restricted: 403 without the header', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'restricted', route: 'index', header: 'Triton-Key', value: 'k' }, { kind: 'restricted', route: 'ready' });
  assertError(await server.post('/v2/repository/index', {}), 403, "This API is restricted, expecting header 'Triton-Key'");
  assert.equal((await server.post('/v2/repository/index', {}, { headers: { 'triton-key': 'wrong' } })).status, 403);
  assert.equal((await server.post('/v2/repository/index', {}, { headers: { 'triton-key': 'k' } })).status, 200);
  assert.equal((await server.ready('m')).status, 403);
  assert.equal((await server.get('/v2/models/m/ready', { headers: { 'X-Inference-Key': 'secret' } })).status, 200);
});

test('no_index: 404 for the index only', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'no_index' });
  assertError(await server.post('/v2/repository/index', {}), 404, 'Not Found');
  assert.equal((await server.load('other')).status, 200);
});

test('flavour: another server\'s behaviour from now on', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'flavour', flavour: 'mlserver' });
  assertError(await server.unload('other'), 404, 'Model other not found');
  await server.forget('faults');
  assert.equal((await server.unload('other')).status, 200);
});

test('a fault hits the models that its pattern names', async (t) => {
  const server = await withModel(t);
  await server.load('other');
  const hit = async () => [(await server.ready('m')).status, (await server.ready('other')).status];
  for (const [model, expected] of [['m', [503, 200]], ['o?her', [200, 503]], ['*', [503, 503]], ['/^(m|x)$/', [503, 200]], ['', [200, 200]]]) {
    await server.faults({ kind: 'unavailable', model });
    assert.deepEqual(await hit(), expected, model);
  }
});

test('a model brings faults of its own, which its next revision need not', async (t) => {
  const server = await startServer(t);
  writeModel(server.root, 'm', 'one', { faults: [{ kind: 'unavailable', route: 'load', times: 1 }, { kind: 'failed_infer' }] });
  assert.equal((await server.load('m')).status, 503);
  assert.equal((await server.load('m')).status, 200);
  assert.equal((await server.infer('m')).status, 500);
  await server.unload('m');
  await server.untilState('m', 'UNAVAILABLE');
  writeModel(server.root, 'm', 'two');
  assert.equal((await server.load('m')).status, 200);
  assert.equal((await server.infer('m')).status, 200);
});

test('faults are described with their counts, replaced and cleared', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'unavailable', route: 'ready', times: 3 });
  await server.ready('m');
  assert.deepEqual((await server.ask('faults')).faults, [{ kind: 'unavailable', route: 'ready', times: 3, taken: 1, left: 2 }]);
  await server.forget('faults');
  assert.deepEqual((await server.ask('faults')).faults, []);
  assert.equal((await server.ready('m')).status, 200);
});

test('a fault that is none is refused, and those before stay', async (t) => {
  const server = await withModel(t);
  await server.faults({ kind: 'unavailable', route: 'ready' });
  const put = (body) => call(server.port, 'PUT', '/test/faults', { body });
  assertError(await put('{'), 400, /not JSON/);
  assertError(await put('{}'), 400, /expected/);
  for (const [fault, why] of [
    [{ kind: 'none' }, /'kind' must be one of/], [{ kind: 'slow_load' }, /'ms' is missing/], [{ kind: 'slow_load', ms: -1 }, /'ms' has a wrong value/],
    [{ kind: 'never_ready', ms: 1 }, /unknown member 'ms'/], [{ kind: 'no_index', model: 'm' }, /whole server/],
    [{ kind: 'unavailable', times: 0 }, /'times'/], [{ kind: 'unavailable', route: 'all' }, /'route'/], [{ kind: 'unavailable', model: '/(/' }, /regular expression/],
  ]) assertError(await put(JSON.stringify({ faults: [fault] })), 400, why);
  assert.equal((await server.ready('m')).status, 503);
});
