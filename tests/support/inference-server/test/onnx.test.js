'use strict';
// Real models with ONNX Runtime: Silero's voice-activity models v5 and v6. Needs npm ci.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { assertError, startServer } = require('./support');

const DIST = path.join(__dirname, '..', 'node_modules', '@ricky0123', 'vad-web', 'dist');

// 32 ms of a tone at 16 kHz.
const TONE = Array.from({ length: 512 }, (_, i) => Math.sin((2 * Math.PI * 220 * i) / 16000) / 2);
const INPUTS = [
  { name: 'input', datatype: 'FP32', shape: [1, 512], data: TONE },
  { name: 'state', datatype: 'FP32', shape: [2, 1, 128], data: new Array(256).fill(0) },
  { name: 'sr', datatype: 'INT64', shape: [1], data: [16000] },
];

function stage(server, name, file) {
  fs.mkdirSync(path.join(server.root, name, '1'), { recursive: true });
  fs.copyFileSync(path.join(DIST, file), path.join(server.root, name, '1', 'model.onnx'));
}

const probability = (answer) => answer.json.outputs.find(({ name }) => name === 'output').data[0];

test('v5 and v6 run side by side, and answer differently', async (t) => {
  const server = await startServer(t);
  const probabilities = [];
  for (const version of ['v5', 'v6']) {
    stage(server, version, `silero_vad_${version}.onnx`);
    const load = await server.load(version);
    assert.equal(load.status, 200, load.text);
    const answer = await server.infer(version, { inputs: INPUTS });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.json.outputs.find(({ name }) => name === 'stateN').shape, [2, 1, 128]);
    probabilities.push(probability(answer));
    assert.equal(probability(await server.infer(version, { inputs: INPUTS })), probabilities.at(-1));
  }
  for (const one of probabilities) assert.ok(one >= 0 && one <= 1, one);
  assert.notEqual(probabilities[0].toFixed(4), probabilities[1].toFixed(4));
});

test('metadata comes from the model', async (t) => {
  const server = await startServer(t);
  stage(server, 'm', 'silero_vad_v5.onnx');
  await server.load('m');
  const { json } = await server.get('/v2/models/m');
  assert.equal(json.platform, 'onnxruntime_onnx');
  assert.deepEqual(json.inputs.map(({ name, datatype }) => [name, datatype]), [['input', 'FP32'], ['state', 'FP32'], ['sr', 'INT64']]);
});

test('what the model does not take is 400, what it fails on 500', async (t) => {
  const server = await startServer(t);
  stage(server, 'm', 'silero_vad_v5.onnx');
  await server.load('m');
  const [input, state, sr] = INPUTS;
  assertError(await server.infer('m', { inputs: [input, state] }), 400, /missing required input\(s\) \['sr'\]/);
  assertError(await server.infer('m', { inputs: [input, state, { ...sr, datatype: 'INT32' }] }), 400, /data-type is 'INT32'/);
  assertError(await server.infer('m', { inputs: [{ ...input, shape: [512] }, state, sr] }), 400, /unexpected shape/);
  assertError(await server.infer('m', { inputs: [{ ...input, shape: [1, 1], data: [0] }, state, sr] }), 500, /onnx runtime error/);
});

test('a file that is no model fails to load in the runtime\'s words', async (t) => {
  const server = await startServer(t);
  stage(server, 'm', 'index.js');
  assertError(await server.load('m'), 400, /^load failed for model 'm': version 1 is at UNAVAILABLE state: Internal: onnx runtime error: /);
  assert.equal((await server.entry('m')).state, 'UNAVAILABLE');
});

test('an unloaded model is released, and can be loaded again', async (t) => {
  const server = await startServer(t);
  stage(server, 'm', 'silero_vad_v6.onnx');
  for (let i = 0; i < 3; i += 1) {
    assert.equal((await server.load('m')).status, 200);
    await server.unload('m');
    await server.untilState('m', 'UNAVAILABLE');
  }
  assert.deepEqual(await server.ask('violations'), []);
});
