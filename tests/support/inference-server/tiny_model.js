'use strict';
// A model without weights: a model.json says what it answers. Most tests need to know which revision answered, not what a
// network computes.

const fs = require('node:fs');
const { LoadFailed, invalid } = require('./errors');

const PLATFORM = 'rollout_tiny';

function parse(file) {
  let description;
  try {
    description = JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw new LoadFailed(`Internal: failed to parse '${file}': ${error.message}`);
  }
  if (description?.kind !== 'echo') throw new LoadFailed(`Invalid argument: unknown kind '${description?.kind}' in '${file}'`);
  if (typeof description.answer !== 'string') throw new LoadFailed(`Invalid argument: 'answer' must be a string in '${file}'`);
  return description;
}

// kind "echo": answers the BYTES tensor `answer` [1], then every input as it came.
class TinyModel {
  static async load(name, file) {
    return new TinyModel(name, parse(file));
  }

  constructor(name, { answer }) {
    this.name = name;
    this.answer = answer;
  }

  metadata() {
    return { platform: PLATFORM, inputs: [], outputs: [{ name: 'answer', datatype: 'BYTES', shape: [1] }] };
  }

  async infer({ id, inputs, outputs }) {
    const all = [{ name: 'answer', datatype: 'BYTES', shape: [1], data: [this.answer] }, ...inputs];
    if (!outputs) return all;
    return outputs.map((name) => {
      const found = all.find((tensor) => tensor.name === name);
      if (!found) throw invalid(`[request id: ${id || '<id_unknown>'}] unexpected inference output '${name}' for model '${this.name}'`);
      return found;
    });
  }

  async release() {}
}

module.exports = { TinyModel };
