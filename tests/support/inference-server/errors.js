'use strict';
// The two ways a call fails: with an answer of its own (ServerError), or because a model did not load (LoadFailed).

// A failure with the HTTP status and sentence that the client gets.
class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.name = 'ServerError';
    this.status = status;
  }
}

// Triton's kinds of error and the statuses its HTTP front end gives them.
const invalid = (message) => new ServerError(400, message);
const internal = (message) => new ServerError(500, message);
const unavailable = (message) => new ServerError(503, message);

// A model's file could not be made into a running model. `message` is the loader's own sentence; each flavour of server
// wraps it in words of its own.
class LoadFailed extends Error {
  constructor(message) {
    super(message);
    this.name = 'LoadFailed';
  }
}

module.exports = { ServerError, LoadFailed, invalid, internal, unavailable };
