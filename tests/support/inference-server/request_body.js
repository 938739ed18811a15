'use strict';
// Reads a request's body, of whatever length its sender claims, and keeps no more of it than is allowed.

const { ServerError } = require('./errors');

const MAX_BODY_BYTES = 64 * 1024 * 1024;

// The rest of a body that is too long is read and forgotten: a client that is still sending would not see an answer.
async function readBody(request, maxBytes = MAX_BODY_BYTES) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= maxBytes) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (size > maxBytes) throw new ServerError(413, `the request's body exceeds ${maxBytes} bytes`);
  return Buffer.concat(chunks);
}

module.exports = { MAX_BODY_BYTES, readBody };
