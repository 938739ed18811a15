'use strict';
// HTTP itself: connections, bodies, clients that go away.

const assert = require('node:assert/strict');
const http = require('node:http');
const net = require('node:net');
const test = require('node:test');
const { MAX_BODY_BYTES } = require('../request_body');
const { assertError, call, startServer, until, writeModel } = require('./support');

async function withModel(t) {
  const server = await startServer(t);
  writeModel(server.root, 'm', 'one');
  assert.equal((await server.load('m')).status, 200);
  return server;
}

test('a connection serves one call after the other, whatever the answers', async (t) => {
  const server = await withModel(t);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  let sockets = 0;
  server.server.frontEnd.http.on('connection', () => { sockets += 1; });
  for (const [url, status] of [['/v2/models/m/ready', 200], ['/v2/models/x/ready', 400], ['/nothing', 404], ['/v2/health/live', 200]]) {
    assert.equal((await server.get(url, { agent })).status, status);
  }
  assert.equal((await call(server.port, 'POST', '/v2/models/m/infer', { body: '{', agent })).status, 400);
  assert.equal(sockets, 1);
});

test('a chunked body is read', async (t) => {
  const server = await withModel(t);
  const body = '{"id": "chunked", "inputs": []}';
  const answer = await call(server.port, 'POST', '/v2/models/m/infer', { body, headers: { 'Transfer-Encoding': 'chunked' } });
  assert.equal(answer.json.id, 'chunked');
});

for (const headers of [{ 'Content-Length': MAX_BODY_BYTES + 1 }, { 'Transfer-Encoding': 'chunked' }]) {
  test(`a body that is too long is 413 (${Object.keys(headers)})`, async (t) => {
    const server = await withModel(t);
    assertError(await call(server.port, 'POST', '/v2/models/m/infer', { body: Buffer.alloc(MAX_BODY_BYTES + 1), headers }), 413, /exceeds/);
  });
}

test('a client that stops half way leaves nothing behind', async (t) => {
  const server = await withModel(t);
  const socket = net.connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"inputs"');
  await until(() => server.server.frontEnd.inflight === 1, 'the request to be there');
  socket.destroy();
  await until(() => server.server.frontEnd.inflight === 0, 'the request to be gone');
  assert.equal((await server.infer('m')).status, 200);
});

test('a request that is no HTTP is 400', async (t) => {
  const server = await startServer(t);
  const socket = net.connect(server.port, '127.0.0.1');
  socket.write('HELLO\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.match(text, /^HTTP\/1\.1 400 /);
});
