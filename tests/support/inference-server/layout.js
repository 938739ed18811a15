'use strict';
// Where models are in the repository: Triton's layout, <repository>/<model>/<version>/model.onnx beside an optional
// config.pbtxt, and MLServer's, a model-settings.json anywhere. Finds places; loads nothing.
//
// A place is {name, directory, version, file, kind}: `file` is the model's own, `kind` "onnx", "tiny" or undefined when
// there is none; `version` is a string, or undefined where the flavour has none.

const fs = require('node:fs');
const path = require('node:path');
const { ServerError, invalid, internal } = require('./errors');

const FILES = [['model.onnx', 'onnx'], ['model.json', 'tiny']];

function isDirectory(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function subdirectories(directory) {
  return fs.readdirSync(directory).filter((name) => isDirectory(path.join(directory, name))).sort();
}

// A name from a URL that is about to become part of a path.
function checkName(name) {
  if (name.trim() === '') throw invalid('Model name cannot be empty. Please enter a valid name to deploy.');
  if (['.', '..'].includes(name.trim()) || /[/\0]/.test(name)) {
    throw invalid(`invalid model name '${name}', model name must not contain path traversal characters`);
  }
}

// The `name:` of a config.pbtxt, undefined without one. Fields of nested messages (inputs have names too) do not count, nor
// does what looks like one in a comment or a string.
function configName(text) {
  const token = /#[^\n]*|"((?:\\.|[^"\\\n])*)"|'((?:\\.|[^'\\\n])*)'|[{}[\]:]|[A-Za-z_][\w.]*|[^\s{}[\]:"'#]+/g;
  let depth = 0;
  let field = '';
  for (let match = token.exec(text); match; match = token.exec(text)) {
    const word = match[0];
    if (word.startsWith('#') || word === ':') continue;
    if (word === '{' || word === '[') depth += 1;
    else if (word === '}' || word === ']') depth -= 1;
    else if (depth === 0 && field === 'name' && /^["']/.test(word)) return match[1] ?? match[2];
    field = word;
  }
  if (depth !== 0) throw new SyntaxError('unbalanced braces');
  return undefined;
}

function checkConfigName(directory, name) {
  const file = path.join(directory, 'config.pbtxt');
  if (!fs.existsSync(file)) return;
  let given;
  try {
    given = configName(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw invalid(`failed to read text proto from ${file}`);
  }
  checkSameName(name, given);
}

function checkSameName(directoryName, given) {
  if (given && given !== directoryName) {
    throw invalid(`unexpected directory name '${directoryName}' for model '${given}', directory name must equal model name`);
  }
}

// Version directories: numbers without a leading zero; any other directory is ignored.
function latestVersion(directory) {
  const versions = subdirectories(directory).filter((name) => /^[1-9][0-9]*$/.test(name));
  return versions.sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)).pop();
}

function modelFile(directory) {
  for (const [name, kind] of FILES) {
    const file = path.join(directory, name);
    if (fs.existsSync(file)) return { file, kind };
  }
  return { file: path.join(directory, FILES[0][0]) };
}

// Every directory at the top of the repository is a model to Triton, one whose name starts with a dot too.
function tritonNames(root) {
  return subdirectories(root);
}

// Finds a model for loading, or fails as Triton does. `directory` is another place to look at (files that came with the
// load call); `config` a configuration, already parsed, that takes config.pbtxt's place.
function findTriton(root, name, { directory = path.join(root, name), config } = {}) {
  checkName(name);
  if (!isDirectory(directory)) throw internal(`failed to load '${name}', failed to poll from model repository`);
  if (config) checkSameName(name, config.name);
  else checkConfigName(directory, name);
  const version = latestVersion(directory);
  if (version === undefined) throw internal(`failed to load '${name}', no version is available`);
  return { name, directory, version, ...modelFile(path.join(directory, version)) };
}

// All model-settings.json below the root that can be read: [{name, directory, settings}]. MLServer logs the others and goes on.
function mlserverSettings(root) {
  const found = [];
  const walk = (directory) => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const inner = path.join(directory, entry.name);
      if (entry.isDirectory() && !entry.name.startsWith('.')) walk(inner); // Python's glob("**") leaves hidden ones out
      if (entry.name !== 'model-settings.json') continue;
      try {
        const settings = JSON.parse(fs.readFileSync(inner, 'utf8'));
        if (typeof settings.name === 'string') found.push({ name: settings.name, directory, settings });
      } catch {
        // as MLServer: not a model
      }
    }
  };
  walk(root);
  return found;
}

// Finds a model for loading, or fails as MLServer does. `parameters.uri` is relative to the settings' own folder and names
// the model's file or a folder with it. Of several settings with the same name, the last one loaded answers.
function findMlserver(root, name) {
  const found = mlserverSettings(root).filter((one) => one.name === name).pop();
  if (!found) throw new ServerError(404, `Model ${name} not found`);
  const { uri, version } = found.settings.parameters ?? {};
  const target = path.resolve(found.directory, typeof uri === 'string' ? uri : '.');
  if (!fs.existsSync(target)) throw new ServerError(422, `Invalid URI specified for model ${name} (${uri})`);
  const file = isDirectory(target) ? modelFile(target) : { file: target, kind: target.endsWith('.json') ? 'tiny' : 'onnx' };
  return { name, directory: found.directory, version, ...file };
}

module.exports = { checkName, configName, tritonNames, findTriton, mlserverSettings, findMlserver };
