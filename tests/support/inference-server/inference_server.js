'use strict';
// The server as a whole: its parts put together, its start and its end.

const { setTimeout: sleep } = require('node:timers/promises');
const { CallLog } = require('./call_log');
const { ControlApi } = require('./control_api');
const { Faults } = require('./faults');
const { FrontEnd } = require('./front_end');
const { Mlserver } = require('./mlserver');
const { Poller } = require('./poller');
const { Repository } = require('./repository');
const { Triton } = require('./triton');

// How long the end waits for requests that are being answered.
const STOP_MS = 500;

class InferenceServer {
  // `options` as arguments.js makes them; `log` takes a line.
  constructor(options, log = () => {}) {
    const { repository: root, control, flavour } = options;
    const faults = new Faults();
    const calls = new CallLog();
    this.options = options;
    this.faults = faults;
    this.calls = calls;
    this.phase = 'starting';
    this.repository = new Repository({ faults, mayVanish: control === 'poll' });
    this.poller = new Poller({ root, repository: this.repository, log });
    const parts = { root, repository: this.repository, faults, control, phase: () => this.phase };
    this.frontEnd = new FrontEnd({
      flavours: { triton: new Triton(parts), mlserver: new Mlserver(parts) },
      flavour,
      faults,
      repository: this.repository,
      calls,
      control: new ControlApi({ faults, repository: this.repository, calls }),
      log,
    });
  }

  // Returns the port, as soon as the server listens. Without explicit control it loads all models first, and says meanwhile
  // that it is not ready.
  async start() {
    const { host, grpcPort } = this.options;
    const port = await this.frontEnd.listen(host, this.options.port);
    if (grpcPort !== undefined) {
      const { GrpcFace } = require('./grpc_face'); // tests without gRPC need no node_modules
      this.grpcFace = new GrpcFace(this.frontEnd, this.calls);
      this.grpcPort = await this.grpcFace.listen(host, grpcPort);
    }
    this.#becomeReady();
    return port;
  }

  async #becomeReady() {
    const { control, pollSecs } = this.options;
    if (control !== 'explicit') await this.poller.look();
    if (this.phase !== 'starting') return;
    this.phase = 'ready';
    if (control === 'poll') this.poller.start(pollSecs);
  }

  // New requests are told that the server is not ready, until those under way have ended or waited long enough.
  async stop() {
    this.phase = 'stopping';
    this.poller.stop();
    const end = Date.now() + STOP_MS;
    while (this.frontEnd.inflight > 0 && Date.now() < end) await sleep(5);
    this.grpcFace?.close();
    this.frontEnd.close();
    this.faults.clear(); // what they hold up ends as well
    this.repository.close();
  }
}

module.exports = { InferenceServer };
