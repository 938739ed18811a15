'use strict';
// gRPC: the same models, the same words, the same faults.

const assert = require('node:assert/strict');
const test = require('node:test');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const { PROTO } = require('../grpc_face');
const { startServer, writeModel } = require('./support');

const DEADLINE_MS = 5000;
const { GRPCInferenceService } = grpc.loadPackageDefinition(protoLoader.loadSync(PROTO, { keepCase: true, longs: Number, defaults: true })).inference;

async function start(t) {
  const server = await startServer(t, { grpcPort: 0 });
  writeModel(server.root, 'm', 'one');
  assert.equal((await server.load('m')).status, 200);
  const client = new GRPCInferenceService(`127.0.0.1:${server.server.grpcPort}`, grpc.credentials.createInsecure());
  t.after(() => client.close());
  const call = (method, message) => new Promise((resolve, reject) => {
    client[method](message, { deadline: Date.now() + DEADLINE_MS }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
  return { server, client, call };
}

const echoed = (response) => response.outputs.find(({ name }) => name === 'answer').contents.bytes_contents[0].toString();

test('a model answers, and says what it is', async (t) => {
  const { server, call } = await start(t);
  const answer = await call('ModelInfer', { model_name: 'm', id: '7' });
  assert.deepEqual([answer.model_name, answer.model_version, answer.id, echoed(answer)], ['m', '1', '7', 'one']);
  assert.deepEqual(await call('ModelReady', { name: 'm' }), { ready: true });
  assert.deepEqual(await call('ModelReady', { name: 'x' }), { ready: false });
  assert.equal((await call('ModelMetadata', { name: 'm' })).name, 'm');
  assert.deepEqual(await call('ServerLive', {}), { live: true });
  assert.ok((await server.ask('calls')).some(({ path }) => path === '/inference.GRPCInferenceService/ModelInfer/m'));
});

test('failures and faults are statuses', async (t) => {
  const { server, call } = await start(t);
  await assert.rejects(call('ModelInfer', { model_name: 'x' }), { code: grpc.status.NOT_FOUND, details: /unknown model: 'x'/ });
  await server.faults({ kind: 'failed_infer', model: 'm', status: 500 });
  await assert.rejects(call('ModelInfer', { model_name: 'm' }), { code: grpc.status.INTERNAL });
  await server.faults({ kind: 'unavailable' });
  await assert.rejects(call('ModelInfer', { model_name: 'm' }), { code: grpc.status.UNAVAILABLE });
});

test('a stream answers each message, a failed one with an error in its answer', async (t) => {
  const { client } = await start(t);
  const stream = client.ModelStreamInfer({ deadline: Date.now() + DEADLINE_MS });
  for (const name of ['m', 'x', 'm']) stream.write({ model_name: name });
  stream.end();
  const answers = [];
  for await (const answer of stream) answers.push(answer);
  assert.deepEqual(answers.map((answer) => (answer.error_message ? 'error' : echoed(answer.infer_response))), ['one', 'error', 'one']);
});
