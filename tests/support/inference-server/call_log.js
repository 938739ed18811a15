'use strict';
// The latest calls of the protocol, for tests that ask what a client did and in which order.

const MAX_CALLS = 10000;

class CallLog {
  constructor() {
    this.calls = [];
  }

  // Notes a call as it comes in. Its `status` is filled in when it is answered; a dropped call's stays null.
  begin(method, path) {
    const call = { time_ms: Date.now(), method, path, status: null };
    this.calls.push(call);
    if (this.calls.length > MAX_CALLS) this.calls.shift();
    return call;
  }

  // Returns those that it removes.
  take() {
    const taken = this.calls;
    this.calls = [];
    return taken;
  }
}

module.exports = { MAX_CALLS, CallLog };
