'use strict';
// Triton's polled repository: what appears in the folder is loaded, what has changed is loaded again, what disappears is
// unloaded. It may see half of a change, as Triton does.

const path = require('node:path');
const { ServerError, LoadFailed } = require('./errors');
const { snapshot, same } = require('./files');
const { findTriton, tritonNames } = require('./layout');

class Poller {
  constructor({ root, repository, log }) {
    Object.assign(this, { root, repository, log });
    this.seen = new Map(); // a model's name: its files when they were last acted on
    this.timer = undefined;
  }

  // Looks once, and returns when every load that came of it has ended. A load that fails is tried again when the files change.
  async look() {
    await this.#try('look', () => this.#lookOnce());
  }

  async #lookOnce() {
    const names = tritonNames(this.root);
    for (const name of this.seen.keys()) if (!names.includes(name)) this.#unload(name);
    await Promise.all(names.map((name) => this.#load(name)));
  }

  async #load(name) {
    const files = snapshot(path.join(this.root, name));
    if (this.seen.has(name) && same(this.seen.get(name), files)) return;
    if (this.repository.get(name)?.work) return; // still going: next time
    this.seen.set(name, files);
    await this.#try(`load ${name}`, async () => {
      await this.repository.load(findTriton(this.root, name));
      this.log(`poll: load ${name}`);
    });
  }

  // A model that cannot be unloaded now stays in `seen`, and is tried again next time.
  #unload(name) {
    this.#try(`unload ${name}`, () => {
      this.repository.unload(name);
      this.seen.delete(name);
      this.log(`poll: unload ${name}`);
    });
  }

  // Files may vanish while they are being looked at: no failure ends the polling.
  async #try(what, work) {
    try {
      await work();
    } catch (error) {
      const expected = error instanceof ServerError || error instanceof LoadFailed;
      this.log(`poll: ${what}: ${expected ? error.message : error.stack}`);
    }
  }

  start(seconds) {
    this.timer = setTimeout(async () => {
      await this.look();
      if (this.timer) this.start(seconds);
    }, seconds * 1000);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}

module.exports = { Poller };
