'use strict';
// What a model's files looked like when it was loaded, and what has happened to them since. While a server holds a model, no
// file of it may be touched; the product under test must keep to that, so the server watches.

const fs = require('node:fs');
const path = require('node:path');

// Every file below `directory`: its path relative to it, and what changes when the file does. Reading contents would be the
// sure way and far too slow for real models.
function snapshot(directory) {
  const files = new Map();
  const walk = (relative) => {
    for (const name of fs.readdirSync(path.join(directory, relative))) {
      const inner = path.join(relative, name);
      const stat = fs.statSync(path.join(directory, inner), { bigint: true, throwIfNoEntry: false });
      if (!stat) continue; // vanished since readdir, or a dangling link: not there
      if (stat.isDirectory()) walk(inner);
      else files.set(inner, `${stat.ino}:${stat.mtimeNs}:${stat.size}`);
    }
  };
  try {
    walk('');
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error; // a directory removed while it is walked
  }
  return files;
}

// What happened to the files of `before`: [{file, what}], `what` being "vanished" or "changed". New files are no violation.
function differences(before, now) {
  const found = [];
  for (const [file, mark] of before) {
    if (!now.has(file)) found.push({ file, what: 'vanished' });
    else if (now.get(file) !== mark) found.push({ file, what: 'changed' });
  }
  return found;
}

function same(before, now) {
  return before.size === now.size && differences(before, now).length === 0;
}

// The files of one model from the moment its loading starts to the moment the server lets go of it.
class WatchedFiles {
  // `mayVanish`: the directory as a whole may be taken away, which is how a model is unloaded in poll mode. What comes in its place
  // once it was seen to be gone is another model's.
  constructor(model, directory, violations, mayVanish) {
    this.model = model;
    this.directory = directory;
    this.violations = violations;
    this.mayVanish = mayVanish;
    this.before = snapshot(directory);
    this.checkedAt = Date.now();
    this.reported = new Set();
    this.gone = false;
  }

  // Looks now. `state` is what the model is doing, for whoever reads the violation.
  check(state) {
    this.checkedAt = Date.now();
    if (this.mayVanish && state !== 'LOADING' && !fs.existsSync(this.directory)) this.gone = true;
    if (this.gone) return;
    for (const { file, what } of differences(this.before, snapshot(this.directory))) {
      const mark = `${what} ${file}`;
      if (this.reported.has(mark)) continue;
      this.reported.add(mark);
      this.violations.push({ time_ms: Date.now(), model: this.model, state, file, what });
    }
  }

  // Looks at most once a second: for the path of every inference.
  checkSometimes(state) {
    if (Date.now() - this.checkedAt >= 1000) this.check(state);
  }

  unchanged() {
    return same(this.before, snapshot(this.directory));
  }
}

module.exports = { snapshot, same, WatchedFiles };
