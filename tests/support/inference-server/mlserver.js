'use strict';
// Seldon MLServer's side of each call, where it differs from Triton in more than words: JSON is wanted with its
// Content-Type, entries of the index have no version, unloading is synchronous, and what fails unexpectedly is a traceback.

const { randomUUID } = require('node:crypto');
const { json, jsonText, text, empty, failure } = require('./answers');
const { ServerError } = require('./errors');
const { findMlserver, mlserverSettings } = require('./layout');
const { readRequest, writeAnswer } = require('./tensors');

const SERVER = { name: 'mlserver', version: '1.5.0', extensions: [] };

const notFound = (name, version) => new ServerError(404, version === undefined ? `Model ${name} not found` : `Model ${name} with version ${version} not found`);

// A body that FastAPI refuses before MLServer sees it.
class Unprocessable extends Error {
  constructor(type, loc, msg) {
    super(msg);
    this.detail = [{ type, loc, msg }];
  }
}

function parse(headers, body) {
  if (body.length === 0) throw new Unprocessable('missing', ['body'], 'Field required');
  if (!/^application\/(?:[\w.-]+\+)?json\b/i.test(headers['content-type'] ?? '')) {
    throw new Unprocessable('model_attributes_type', ['body'], 'Input should be a valid dictionary or object to extract fields from');
  }
  let value;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    throw new Unprocessable('json_invalid', ['body', 0], 'JSON decode error');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Unprocessable('model_attributes_type', ['body'], 'Input should be a valid dictionary or object to extract fields from');
  }
  return value;
}

function traceback(what) {
  return [
    'Traceback (most recent call last):',
    '  File "/usr/local/lib/python3.10/site-packages/starlette/middleware/errors.py", line 164, in __call__',
    '    await self.app(scope, receive, _send)',
    '  File "/usr/local/lib/python3.10/site-packages/mlserver/registry.py", line 152, in _load_model',
    '    model.ready = await model.load()',
    `RuntimeError: ${what}`,
    '',
  ].join('\n');
}

class Mlserver {
  constructor({ root, repository, faults }) {
    Object.assign(this, { root, repository, faults });
  }

  find(name) {
    return findMlserver(this.root, name);
  }

  server_metadata() {
    return json(200, SERVER);
  }

  live() {
    return empty(200);
  }

  // Unlike Triton's, this one does speak of the models.
  server_ready() {
    return empty([...this.repository.models.values()].some(({ state }) => state === 'LOADING') ? 400 : 200);
  }

  #known(name, version) {
    const model = this.repository.get(name);
    if (!model?.instance && model?.state !== 'LOADING') throw notFound(name);
    if (version !== undefined && version !== model.version) throw notFound(name, version);
    return model;
  }

  ready({ model: name, version }) {
    const serves = this.#known(name, version).instance && !this.faults.take('never_ready', { model: name, route: 'ready' });
    return empty(serves ? 200 : 400);
  }

  #serving(name, version) {
    const model = this.#known(name, version);
    if (!model.instance) throw new ServerError(400, `Model ${name} is not ready yet.`);
    return model;
  }

  model_metadata({ model: name, version }) {
    const model = this.#serving(name, version);
    return json(200, { name, versions: [], ...model.instance.runner.metadata() });
  }

  async infer({ model: name, version, headers, body }) {
    const given = parse(headers, body);
    const model = this.#serving(name, version);
    const request = readRequest(given);
    const head = { model_name: name, model_version: model.version, id: request.id ?? randomUUID(), parameters: {} };
    return jsonText(200, writeAnswer(head, await this.repository.infer(model, request)));
  }

  index({ headers, body }) {
    const { ready } = parse(headers, body);
    if (ready !== undefined && ready !== null && typeof ready !== 'boolean') {
      throw new Unprocessable('bool_type', ['body', 'ready'], 'Input should be a valid boolean');
    }
    const entries = mlserverSettings(this.root).map(({ name }) => ({ name, state: this.#state(name), reason: '' }));
    return json(200, entries.filter(({ state }) => !ready || state === 'READY'));
  }

  #state(name) {
    const model = this.repository.get(name);
    if (model?.instance) return 'READY';
    return model?.state === 'LOADING' ? 'LOADING' : 'UNAVAILABLE';
  }

  // MLServer has no word for "busy": calls about one model are taken in turn here.
  async #settled(name) {
    for (let model = this.repository.get(name); model?.work;) await model.work.catch(() => {});
  }

  async load({ model: name }) {
    await this.#settled(name);
    await this.repository.load(this.find(name), { always: true });
    return empty(200);
  }

  async unload({ model: name }) {
    await this.#settled(name);
    if (!this.repository.get(name)?.instance) throw notFound(name);
    await this.repository.unload(name).gone;
    return empty(200);
  }

  noSuchPath() {
    return json(404, { detail: 'Not Found' });
  }

  failed(error) {
    if (error instanceof Unprocessable) return json(422, { detail: error.detail });
    if (error instanceof ServerError && error.status === 405) return json(405, { detail: error.message });
    if (error instanceof ServerError && error.status !== 500) return failure(error.status, error.message);
    return text(500, traceback(error.message));
  }
}

module.exports = { Mlserver };
