'use strict';
// Triton's side of each call: its statuses, its words, its bodies.

const fs = require('node:fs');
const { json, jsonText, empty, failure } = require('./answers');
const { LoadFailed, ServerError, invalid, unavailable } = require('./errors');
const { checkName, findTriton, tritonNames } = require('./layout');
const { readOverrides } = require('./overrides');
const { readRequest, writeAnswer } = require('./tensors');

const SERVER = {
  name: 'triton',
  version: '2.42.0',
  extensions: ['classification', 'sequence', 'model_repository', 'model_repository(unload_dependents)', 'schedule_policy', 'model_configuration'],
};

// An empty body is no JSON, and allowed for all but inferences.
function parse(body, ifEmpty) {
  if (body.length === 0 && ifEmpty) return ifEmpty;
  let value;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw invalid(`failed to parse the request JSON buffer: ${error.message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('attempt to access JSON non-object as object');
  return value;
}

// A method for each route, by the route's name. Each takes {model, version, body}, `model` being a name, and answers or throws.
class Triton {
  // `control`: "explicit", "poll" or "none". `phase` tells whether the server is "starting", "ready" or "stopping".
  constructor({ root, repository, faults, control, phase }) {
    Object.assign(this, { root, repository, faults, control, phase });
  }

  // Where a model's files are, or the words of why they cannot be loaded.
  find(name, overrides) {
    return findTriton(this.root, name, overrides);
  }

  server_metadata() {
    return json(200, SERVER);
  }

  live() {
    return empty(this.phase() === 'ready' ? 200 : 400);
  }

  server_ready() {
    return empty(this.phase() === 'ready' ? 200 : 400);
  }

  #checkPhase() {
    if (this.phase() !== 'ready') throw unavailable('Server not ready');
  }

  // The model, if it serves this version or any was asked for. Triton forgets a model with its unloading, but remembers one
  // that failed to load.
  #serving(name, version) {
    this.#checkPhase();
    const model = this.repository.get(name);
    if (!model?.instance) {
      const known = model?.state === 'LOADING' || (model?.state === 'UNAVAILABLE' && model.reason !== 'unloaded');
      throw invalid(`Request for unknown model: '${name}' ${known ? 'has no available versions' : 'is not found'}`);
    }
    if (version !== undefined && version !== model.version) {
      throw invalid(`Request for unknown model: '${name}' version ${version} is not found`);
    }
    return model;
  }

  ready({ model: name, version }) {
    this.#checkPhase();
    const model = this.repository.get(name);
    const serves = model?.instance && (version === undefined || version === model.version);
    if (!serves || this.faults.take('never_ready', { model: name, route: 'ready' })) return failure(400, 'Model version not ready');
    return empty(200);
  }

  model_metadata({ model: name, version }) {
    const model = this.#serving(name, version);
    return json(200, { name, versions: [model.version], ...model.instance.runner.metadata() });
  }

  async infer({ model: name, version, body }) {
    const model = this.#serving(name, version);
    const request = readRequest(parse(body));
    const head = { id: request.id || undefined, model_name: name, model_version: this.#versionOf(name, model) };
    return jsonText(200, writeAnswer(head, await this.repository.infer(model, request)));
  }

  // As if the server had loaded another one.
  #versionOf(name, { version }) {
    return this.faults.take('other_version', { model: name })?.version ?? version;
  }

  // Only what is in the repository's folder is listed; a model never loaded has no more than a name.
  index({ body }) {
    this.#checkPhase();
    const { ready = false } = parse(body, {});
    if (typeof ready !== 'boolean') throw invalid("Invalid value for 'ready': expected a boolean");
    const entries = tritonNames(this.root).map((name) => {
      const { state, version, reason } = this.repository.get(name) ?? {};
      return state === undefined ? { name } : { name, version: this.#versionOf(name, { version }), state, reason: reason || undefined };
    });
    return json(200, entries.filter(({ state }) => !ready || state === 'READY'));
  }

  #checkControl() {
    this.#checkPhase();
    if (this.control !== 'explicit') throw unavailable('explicit model load / unload is not allowed if polling is enabled');
  }

  async load({ model: name, body }) {
    this.#checkControl();
    checkName(name);
    const overrides = readOverrides(parse(body, {}));
    const place = this.#findOverridden(name, overrides);
    try {
      await this.repository.load(place, { always: overrides.config !== undefined });
    } catch (error) {
      if (!(error instanceof LoadFailed)) throw error;
      throw invalid(`load failed for model '${name}': version ${place.version} is at UNAVAILABLE state: ${error.message};\n`);
    }
    return empty(200);
  }

  #findOverridden(name, overrides) {
    try {
      return { ...this.find(name, overrides), temporary: overrides.directory !== undefined };
    } catch (error) {
      if (overrides.directory) fs.rmSync(overrides.directory, { recursive: true, force: true });
      throw error;
    }
  }

  // Answers at once; the model goes when its last request has ended.
  unload({ model: name, body }) {
    this.#checkControl();
    const dependents = parse(body, {}).parameters?.unload_dependents ?? false;
    if (typeof dependents !== 'boolean') {
      throw invalid("Unable to parse 'unload_dependents': attempt to access JSON non-boolean as boolean");
    }
    this.repository.unload(name);
    return empty(200);
  }

  noSuchPath() {
    return failure(404, 'Not Found');
  }

  failed(error) {
    return error instanceof ServerError ? failure(error.status, error.message) : failure(500, `Internal: ${error.message}`);
  }
}

module.exports = { Triton };
