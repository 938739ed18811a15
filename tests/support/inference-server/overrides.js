'use strict';
// The body of a Triton load call: {"parameters": {"config": "<JSON>", "file:1/model.onnx": "<base64>"}}, read and checked.
// Files that come with the call are the whole model: they are written to a folder of their own, and the repository's is not
// looked at.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { invalid, internal } = require('./errors');

const FILE = 'file:';

function parseConfig(text) {
  let config;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw invalid(`Invalid config override: failed to parse the request JSON buffer: ${error.message}`);
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw invalid('Invalid config override: expected a JSON object');
  }
  return config;
}

function decode(name, text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) throw invalid(`Unable to decode base64 content of '${name}'`);
  return Buffer.from(text, 'base64');
}

function relativePath(name) {
  const relative = path.normalize(name.slice(FILE.length));
  if (relative === '.' || relative.includes('\0') || path.isAbsolute(relative) || relative.split(path.sep)[0] === '..') {
    throw invalid(`Invalid file parameter '${name}' must stay within model directory.`);
  }
  return relative;
}

function writeFiles(files) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rollout-test-model-'));
  for (const [relative, content] of files) {
    const file = path.join(directory, relative);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
  }
  return directory;
}

// Returns {config?, directory?}: the parsed configuration, and the folder with the call's files, which belongs to the caller.
function readOverrides(body) {
  const parameters = body?.parameters;
  if (parameters === undefined) return {};
  if (typeof parameters !== 'object' || parameters === null) throw invalid("attempt to access JSON non-object as object");
  const overrides = {};
  const files = new Map();
  for (const [name, value] of Object.entries(parameters)) {
    if (typeof value !== 'string') throw invalid(`attempt to access JSON non-string as string: '${name}'`);
    if (name === 'config') overrides.config = parseConfig(value);
    else if (name.startsWith(FILE)) files.set(relativePath(name), decode(name, value));
    else throw internal('unexpected error on creating Triton parameter');
  }
  if (files.size === 0) return overrides;
  if (!overrides.config) throw invalid("Load parameter 'config' must be specified for model file override");
  return { ...overrides, directory: writeFiles(files) };
}

module.exports = { readOverrides };
