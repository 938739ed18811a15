'use strict';
// What a test asks of the server behind the protocol's back: /test/faults, /test/models, /test/violations, /test/calls.

const { json, failure } = require('./answers');
const { ServerError } = require('./errors');
const { readBody } = require('./request_body');

function parse(body) {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new ServerError(400, `not JSON: ${error.message}`);
  }
}

class ControlApi {
  constructor({ faults, repository, calls }) {
    this.table = {
      '/test/faults': {
        GET: () => faults.describe(),
        PUT: (body) => {
          faults.set(parse(body));
          return faults.describe();
        },
        DELETE: () => {
          faults.clear();
          return faults.describe();
        },
      },
      '/test/models': {
        GET: () => Object.fromEntries([...repository.models].map(([name, model]) => [name, model.describe()])),
      },
      '/test/violations': {
        GET: () => repository.violations(),
        DELETE: () => {
          repository.forgetViolations();
          return [];
        },
      },
      '/test/calls': {
        GET: () => calls.calls,
        DELETE: () => calls.take(),
      },
    };
  }

  isFor(path) {
    return path === '/test' || path.startsWith('/test/');
  }

  async answer(request, path) {
    const methods = Object.hasOwn(this.table, path) ? this.table[path] : undefined;
    if (!methods) return failure(404, `there are ${Object.keys(this.table).join(', ')}`);
    const { method } = request;
    if (!Object.hasOwn(methods, method)) return failure(405, `${path} takes ${Object.keys(methods).join(', ')}`);
    try {
      return json(200, methods[method](await readBody(request)));
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      return failure(error.status, error.message);
    }
  }
}

module.exports = { ControlApi };
