'use strict';
// The life of models: loading, serving, unloading, in the states that Triton's index shows. Knows nothing of HTTP and of a
// flavour's words, and gets places of files from layout.js.
//
//   never loaded -> LOADING -> READY -> UNLOADING -> UNAVAILABLE ("unloaded")
//                      '-> UNAVAILABLE (why it failed)      '-> LOADING again
//
// A model loaded again while it serves stays READY: the old instance serves until the new one is there, and goes on serving
// if that fails.

const fs = require('node:fs');
const { LoadFailed, ServerError, internal } = require('./errors');
const { WatchedFiles } = require('./files');
const { Instance } = require('./instance');
const { OnnxModel } = require('./onnx_model');
const { TinyModel } = require('./tiny_model');

// No model is unloaded in no time. A client that takes the answer to an unload for the model's end shall not get away with it
// by luck.
const UNLOAD_MS = 20;

class Model {
  constructor(name) {
    this.name = name;
    this.state = undefined; // as the index shows it; undefined: never loaded
    this.reason = '';
    this.version = undefined;
    this.instance = undefined; // what new requests get
    this.work = undefined; // while a load or an unload is under way: its promise
    this.held = new Set(); // WatchedFiles of everything that is loading, loaded or unloading
    this.leaving = new Set(); // instances that only finish their requests
    this.counts = { loads: 0, failed_loads: 0, unloads: 0, infers: 0, failed_infers: 0 };
  }

  inflight() {
    return [this.instance, ...this.leaving].reduce((sum, instance) => sum + (instance?.inflight ?? 0), 0);
  }

  describe() {
    const { state = null, reason, version = null } = this;
    return { state, reason, version, inflight: this.inflight(), ...this.counts };
  }
}

class Repository {
  // `mayVanish`: in poll mode, a model's whole directory may be taken away while it is loaded.
  constructor({ faults, mayVanish = false }) {
    this.faults = faults;
    this.mayVanish = mayVanish;
    this.models = new Map();
    this.found = []; // violations: files touched while the server held them
  }

  get(name) {
    return this.models.get(name);
  }

  #known(name) {
    if (!this.models.has(name)) this.models.set(name, new Model(name));
    return this.models.get(name);
  }

  // Takes over the faults in a tiny model's file. Called before each call that they may be about; a file that is not there
  // or no JSON is for the load to complain about.
  learnFaults(place) {
    if (place.kind !== 'tiny') return;
    let description;
    try {
      description = JSON.parse(fs.readFileSync(place.file, 'utf8'));
    } catch {
      return;
    }
    this.faults.learn(place.name, description?.faults);
  }

  // Loads what is at `place`, and returns when that has ended. A model that is loaded and whose files are as they were is
  // left alone unless `always`. Fails with LoadFailed in the loader's words, or with the answer that a fault dictates.
  async load(place, { always = false } = {}) {
    const model = this.#known(place.name);
    if (model.work) throw related(model.name);
    if (model.instance && !always && model.instance.place.directory === place.directory && model.instance.files.unchanged()) return;
    await this.#during(model, this.#load(model, place));
  }

  #during(model, work) {
    model.work = work.finally(() => { model.work = undefined; });
    return model.work;
  }

  async #load(model, place) {
    for (const files of model.held) files.check(model.state);
    if (!model.instance) Object.assign(model, { state: 'LOADING', reason: '', version: place.version });
    const files = new WatchedFiles(model.name, place.directory, this.found, this.mayVanish);
    model.held.add(files);
    try {
      const runner = await this.#start(place);
      files.check('LOADING');
      const old = model.instance;
      model.instance = new Instance(place, runner, files);
      Object.assign(model, { state: 'READY', reason: '', version: place.version });
      model.counts.loads += 1;
      if (old) this.#retire(model, old);
    } catch (error) {
      files.check('LOADING');
      model.held.delete(files);
      model.counts.failed_loads += 1;
      if (!model.instance) Object.assign(model, { state: 'UNAVAILABLE', reason: error.message });
      removeTemporary(place);
      throw error;
    }
  }

  async #start(place) {
    const { name, file, kind } = place;
    this.learnFaults(place);
    const slow = this.faults.take('slow_load', { model: name });
    if (slow) await this.faults.pause(slow.ms);
    const failed = this.faults.take('failed_load', { model: name });
    if (failed) {
      const words = (failed.error ?? 'Internal: injected failure').replaceAll('{model}', name);
      throw failed.status ? new ServerError(failed.status, words) : new LoadFailed(words);
    }
    if (kind === 'onnx') return OnnxModel.load(name, file);
    if (kind === 'tiny') return TinyModel.load(name, file);
    throw new LoadFailed(`Invalid argument: unable to find '${file}' for model '${name}'`);
  }

  // Takes a model out of service at once; the promise in the answer's `gone` ends when nothing of it is left. Without such a
  // model there is nothing to do.
  unload(name) {
    const model = this.models.get(name);
    if (model?.work) throw related(name);
    if (!model?.instance) return { gone: Promise.resolve() };
    const failed = this.faults.take('failed_unload', { model: name });
    if (failed) {
      throw internal(failed.error ?? `failed to unload '${name}', versions that are still available: ${model.version ?? ''}`);
    }
    const slow = this.faults.take('slow_unload', { model: name });
    return { gone: this.#during(model, this.#unload(model, slow?.ms ?? UNLOAD_MS)) };
  }

  async #unload(model, ms) {
    const { instance } = model;
    Object.assign(model, { instance: undefined, state: 'UNLOADING', reason: '' });
    instance.files.check('UNLOADING'); // before others take its place
    await this.#retire(model, instance, ms);
    Object.assign(model, { state: 'UNAVAILABLE', reason: 'unloaded' });
    model.counts.unloads += 1;
  }

  async #retire(model, instance, ms = 0) {
    model.leaving.add(instance);
    await this.faults.pause(ms);
    await instance.idle();
    await instance.runner.release();
    instance.files.check('UNLOADING');
    model.held.delete(instance.files);
    model.leaving.delete(instance);
    removeTemporary(instance.place);
  }

  // Runs one inference on the loaded instance; the caller has checked that there is one.
  async infer(model, request) {
    const { instance } = model;
    instance.files.checkSometimes(model.state);
    try {
      const outputs = await instance.use(async (runner) => {
        const slow = this.faults.take('slow_infer', { model: model.name });
        if (slow) await this.faults.pause(slow.ms);
        const failed = this.faults.take('failed_infer', { model: model.name });
        if (failed) {
          throw new ServerError(failed.status ?? 500, failed.error
            ?? `Failed to process the request(s) for model '${model.name}', message: injected failure`);
        }
        return runner.infer(request);
      });
      model.counts.infers += 1;
      return outputs;
    } catch (error) {
      model.counts.failed_infers += 1;
      throw error;
    }
  }

  // Looks at the files of everything that is held, and returns all that was ever found.
  violations() {
    for (const model of this.models.values()) for (const files of model.held) files.check(model.state);
    return this.found;
  }

  forgetViolations() {
    this.violations();
    this.found.length = 0;
  }

  // The server ends: what it wrote for itself goes with it.
  close() {
    for (const { instance, leaving } of this.models.values()) {
      for (const one of [instance, ...leaving]) if (one) removeTemporary(one.place);
    }
  }
}

function removeTemporary(place) {
  if (place.temporary) fs.rmSync(place.directory, { recursive: true, force: true });
}

function related(name) {
  return internal(`a related model '${name}' to a load/unload request is currently loading or unloading`);
}

module.exports = { Repository, related };
