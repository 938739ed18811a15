'use strict';
// The calls of the KServe v2 protocol and of the model repository extension: from a method and a path to a route's name and
// the model that it is about. Faults name the same routes.

const { ServerError } = require('./errors');

const MODEL = '/v2/models/(?<model>[^/]+)(?:/versions/(?<version>[^/]+))?';
const REPOSITORY_MODEL = '/v2/repository/models/(?<model>[^/]+)';

const TABLE = [
  ['GET', '/v2', 'server_metadata'],
  ['GET', '/v2/health/live', 'live'],
  ['GET', '/v2/health/ready', 'server_ready'],
  ['GET', MODEL, 'model_metadata'],
  ['GET', `${MODEL}/ready`, 'ready'],
  ['POST', `${MODEL}/infer`, 'infer'],
  ['POST', '/v2/repository/index', 'index'],
  ['POST', `${REPOSITORY_MODEL}/load`, 'load'],
  ['POST', `${REPOSITORY_MODEL}/unload`, 'unload'],
].map(([method, path, route]) => ({ method, path: new RegExp(`^${path}$`), route }));

function decode(text) {
  try {
    return text && decodeURIComponent(text);
  } catch {
    throw new ServerError(400, 'malformed path');
  }
}

// Returns {route, model, version}, the last two where the route has them; undefined if there is no such path.
function findRoute(method, path) {
  for (const row of TABLE) {
    const match = row.path.exec(path);
    if (!match) continue;
    if (method !== row.method) throw new ServerError(405, 'Method Not Allowed');
    return { route: row.route, model: decode(match.groups?.model), version: decode(match.groups?.version) };
  }
  return undefined;
}

module.exports = { findRoute };
