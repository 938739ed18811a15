'use strict';
// HTTP: from a request to the flavour's method for its route, and from the answer to the wire, by way of the faults.

const http = require('node:http');
const { Readable, pipeline } = require('node:stream');
const { answerOfFault } = require('./call_faults');
const { ServerError } = require('./errors');
const { readBody } = require('./request_body');
const { findRoute } = require('./routes');

// Longer than nginx keeps an idle connection to an upstream (60 s): who closes first must be the client, or a request can
// meet a connection that is just being closed.
const KEEP_ALIVE_MS = 75000;

class FrontEnd {
  // `flavours`: {triton, mlserver}; `flavour`: the one that answers unless a fault says otherwise; `log`: takes a line.
  constructor({ flavours, flavour, faults, repository, calls, control, log }) {
    Object.assign(this, { flavours, flavour, faults, repository, calls, control, log });
    this.inflight = 0;
    this.http = http.createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => this.#serve(request, response));
  }

  async #serve(request, response) {
    this.inflight += 1;
    try {
      const answer = await this.#answer(request);
      if (answer) send(response, answer);
      else request.socket.destroy();
    } catch (error) {
      // A client that went away before its request was whole; whatever else ends here is a mistake of this server.
      if (!request.destroyed || request.complete) this.log(`${request.method} ${request.url}: ${error.stack}`);
      request.socket.destroy();
    } finally {
      this.inflight -= 1;
    }
  }

  // The answer; undefined if the connection is to be dropped instead.
  async #answer(request) {
    const path = request.url.split('?')[0];
    if (this.control.isFor(path)) return this.control.answer(request, path);

    const noted = this.calls.begin(request.method, path);
    const answer = await this.#answerProtocol(request, path);
    if (answer) noted.status = answer.status;
    return answer;
  }

  async #answerProtocol(request, path) {
    const flavour = this.flavours[this.faults.take('flavour')?.flavour ?? this.flavour];
    try {
      const body = await readBody(request);
      const found = findRoute(request.method, path);
      if (!found) return flavour.noSuchPath();
      const call = { ...found, headers: request.headers, body };
      if (call.route === 'load') this.#learnFaults(flavour, call.model);

      const dropped = this.faults.take('dropped', call);
      if (dropped && !dropped.carried_out) return undefined;
      const answer = answerOfFault(this.faults, call) ?? (await this.#carryOut(flavour, call));
      return dropped ? undefined : answer;
    } catch (error) {
      if (!request.complete) throw error;
      if (!(error instanceof ServerError)) this.log(`${request.method} ${path}: ${error.stack}`);
      return flavour.failed(error);
    }
  }

  // The answer to a call that came by other means than HTTP: {route, model, version, headers, body}; undefined if it is to be dropped.
  async answerCall(call) {
    this.inflight += 1;
    const flavour = this.flavours[this.faults.take('flavour')?.flavour ?? this.flavour];
    try {
      const dropped = this.faults.take('dropped', call);
      if (dropped && !dropped.carried_out) return undefined;
      const answer = answerOfFault(this.faults, call) ?? (await this.#carryOut(flavour, call));
      return dropped ? undefined : answer;
    } finally {
      this.inflight -= 1;
    }
  }

  async #carryOut(flavour, call) {
    let answer;
    try {
      answer = await flavour[call.route](call);
    } catch (error) {
      answer = flavour.failed(error);
    }
    if (call.route === 'load' || call.route === 'unload') this.log(`${call.route} ${call.model}: ${answer.status} ${answer.body.trimEnd()}`);
    return answer;
  }

  // A model's own faults may be about this very call. If its files cannot be found or read, the load will say so.
  #learnFaults(flavour, name) {
    try {
      this.repository.learnFaults(flavour.find(name));
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
    }
  }

  listen(host, port) {
    return new Promise((resolve, reject) => {
      this.http.once('error', reject);
      this.http.listen(port, host, () => resolve(this.http.address().port));
    });
  }

  close() {
    this.http.close();
    this.http.closeAllConnections();
  }
}

const LARGEST_BODY = 10 * 1024 ** 3;

// 64 KiB of a JSON text's inside, again and again, as fast as they are read.
function* padding() {
  const some = Buffer.alloc(65536, 'x');
  for (let sent = 0; sent < LARGEST_BODY; sent += some.length) yield some;
}

function send(response, { status, type, body, unending }) {
  if (unending) {
    response.writeHead(status, { 'Content-Type': type, 'Content-Length': LARGEST_BODY });
    response.write(body);
    if (unending === 'endless') pipeline(Readable.from(padding()), response, () => {});
    return;
  }
  const bytes = Buffer.from(body);
  response.writeHead(status, { ...(type && { 'Content-Type': type }), 'Content-Length': bytes.length });
  response.end(bytes);
}

module.exports = { FrontEnd };
