'use strict';
// What the tests share: a server of their own on a free port, models to put into its folder, calls, and waiting.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { InferenceServer } = require('../inference_server');

const DEADLINE_MS = 5000;

function temporaryFolder(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'inference-server-test-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function writeFiles(folder, files) {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  }
}

// A tiny model in Triton's layout. `more`: further members of its model.json.
function writeModel(root, name, answer = name, more = {}) {
  writeFiles(path.join(root, name), { '1/model.json': { kind: 'echo', answer, ...more } });
}

// One HTTP call: {status, headers, text, json}. Fails if the connection is dropped.
function call(port, method, url, { body, headers = {}, agent } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, method, path: url, headers, agent: agent ?? false }, async (response) => {
      try {
        let text = '';
        for await (const chunk of response.setEncoding('utf8')) text += chunk;
        const isJson = response.headers['content-type'] === 'application/json';
        resolve({ status: response.statusCode, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined });
      } catch (error) {
        reject(error);
      }
    });
    request.on('error', reject);
    request.end(body);
  });
}

// For a slow_… fault that lasts until the test forgets the faults.
const HELD_MS = 60000;

// Looks again and again until `look` gives something true, and returns that.
async function until(look, what) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `waited in vain for ${what}`);
    await sleep(5);
  }
}

class TestServer {
  constructor(root, server, port) {
    Object.assign(this, { root, server, port });
  }

  get(url, options) {
    return call(this.port, 'GET', url, options);
  }

  post(url, json, options = {}) {
    const body = json === undefined ? undefined : JSON.stringify(json);
    return call(this.port, 'POST', url, { body, ...options, headers: { 'Content-Type': 'application/json', ...options.headers } });
  }

  load(name, json) {
    return this.post(`/v2/repository/models/${name}/load`, json);
  }

  unload(name, json) {
    return this.post(`/v2/repository/models/${name}/unload`, json);
  }

  ready(name) {
    return this.get(`/v2/models/${name}/ready`);
  }

  infer(name, json = { inputs: [] }) {
    return this.post(`/v2/models/${name}/infer`, json);
  }

  async index(json = {}) {
    return (await this.post('/v2/repository/index', json)).json;
  }

  // The index's entry of one model.
  async entry(name) {
    return (await this.index()).find((entry) => entry.name === name);
  }

  untilState(name, state) {
    return until(async () => (await this.entry(name))?.state === state, `${name} to be ${state}`);
  }

  async faults(...faults) {
    const { status, text } = await call(this.port, 'PUT', '/test/faults', { body: JSON.stringify({ faults }) });
    assert.equal(status, 200, text);
  }

  async ask(what) {
    return (await this.get(`/test/${what}`)).json;
  }

  // For "faults": also ends what a slow_… fault holds up.
  forget(what) {
    return call(this.port, 'DELETE', `/test/${what}`);
  }

  // Waits until an inference of this model is being worked on.
  untilBusy(name) {
    return until(async () => (await this.ask('models'))[name]?.inflight > 0, `${name} to be at work`);
  }
}

// A server with a folder of its own, which both end with the test. `prepare` may fill the folder before the start.
async function startServer(t, options = {}, prepare = () => {}) {
  const root = temporaryFolder(t);
  prepare(root);
  const server = new InferenceServer({ repository: root, host: '127.0.0.1', port: 0, control: 'explicit', pollSecs: 15, flavour: 'triton', ...options });
  const port = await server.start();
  t.after(() => server.stop());
  return new TestServer(root, server, port);
}

function assertError(answer, status, error) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], 'application/json');
  if (error instanceof RegExp) assert.match(answer.json.error, error);
  else assert.deepEqual(answer.json, { error });
}

module.exports = { HELD_MS, temporaryFolder, writeFiles, writeModel, call, until, startServer, assertError };
