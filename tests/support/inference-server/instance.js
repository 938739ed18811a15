'use strict';
// One loaded version of a model: what runs it, its files, and the requests it is working on. It outlives its place in the
// repository until the last of those has ended.

class Instance {
  // `place` is from layout.js; `runner` is an OnnxModel or a TinyModel; `files` the WatchedFiles from before its loading.
  constructor(place, runner, files) {
    this.place = place;
    this.version = place.version;
    this.runner = runner;
    this.files = files;
    this.inflight = 0;
    this.waiting = [];
  }

  async use(work) {
    this.inflight += 1;
    try {
      return await work(this.runner);
    } finally {
      this.inflight -= 1;
      if (this.inflight === 0) for (const resolve of this.waiting.splice(0)) resolve();
    }
  }

  idle() {
    if (this.inflight === 0) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}

module.exports = { Instance };
