'use strict';
// Runs one model.onnx with ONNX Runtime, and checks a request against the model's own inputs in Triton's words.
// onnxruntime-node is required only when the first such model loads: tests with tiny models need no node_modules.

const { LoadFailed, invalid, internal } = require('./errors');
const { DATATYPES, BY_ONNX_NAME } = require('./tensors');

const PLATFORM = 'onnxruntime_onnx';

// A run that fails is told to whoever asked for it, and need not be in the log as well.
const QUIET = { logSeverityLevel: 4 };

function runtime() {
  try {
    return require('onnxruntime-node');
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    throw new LoadFailed('Internal: onnxruntime-node is not installed; run npm ci --ignore-scripts beside server.js');
  }
}

// A dimension of no fixed size has a symbol instead of a number there, maybe an empty one.
function dims(shape) {
  return shape.map((size) => (typeof size === 'number' && size >= 0 ? size : -1));
}

// Triton has no scalars: it shows one as [1]. It is read from either.
function describe({ name, type, shape }) {
  const onnxShape = dims(shape);
  return { name, datatype: BY_ONNX_NAME[type] ?? type.toUpperCase(), shape: onnxShape.length ? onnxShape : [1], onnxShape };
}

function shown({ name, datatype, shape }) {
  return { name, datatype, shape };
}

function fits(actual, expected) {
  return actual.length === expected.length && expected.every((size, i) => size === -1 || size === actual[i]);
}

function quoted(names) {
  return `[${names.map((name) => `'${name}'`).join(',')}]`;
}

class OnnxModel {
  static async load(name, file) {
    const ort = runtime();
    try {
      const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 });
      return new OnnxModel(name, ort, session);
    } catch (error) {
      throw new LoadFailed(`Internal: onnx runtime error: ${error.message}`);
    }
  }

  constructor(name, ort, session) {
    this.name = name;
    this.ort = ort;
    this.session = session;
    this.inputs = session.inputMetadata.map(describe);
    this.outputs = session.outputMetadata.map(describe);
  }

  metadata() {
    return { platform: PLATFORM, inputs: this.inputs.map(shown), outputs: this.outputs.map(shown) };
  }

  #check({ id, inputs, outputs = [] }) {
    const prefix = `[request id: ${id || '<id_unknown>'}] `;
    for (const { name } of inputs) {
      if (!this.inputs.some((input) => input.name === name)) {
        throw invalid(`${prefix}unexpected inference input '${name}' for model '${this.name}'`);
      }
    }
    for (const name of outputs) {
      if (!this.outputs.some((output) => output.name === name)) {
        throw invalid(`${prefix}unexpected inference output '${name}' for model '${this.name}'`);
      }
    }
    const given = new Map(inputs.map((input) => [input.name, input]));
    if (given.size !== this.inputs.length) {
      const missing = this.inputs.map(({ name }) => name).filter((name) => !given.has(name));
      throw invalid(`${prefix}expected ${this.inputs.length} inputs but got ${given.size} inputs for model '${this.name}'. `
        + `Got input(s) ${quoted([...given.keys()])}, but missing required input(s) ${quoted(missing)}. Please provide all required input(s).`);
    }
    for (const expected of this.inputs) {
      const { name, datatype, shape } = given.get(expected.name);
      if (datatype !== expected.datatype) {
        throw invalid(`${prefix}inference input '${name}' data-type is '${datatype}', but model '${this.name}' expects '${expected.datatype}'`);
      }
      if (!fits(shape, expected.shape) && !fits(shape, expected.onnxShape)) {
        throw invalid(`${prefix}unexpected shape for input '${name}' for model '${this.name}'. Expected [${expected.shape}], got [${shape}]. `);
      }
    }
  }

  async infer(request) {
    this.#check(request);
    const feeds = {};
    for (const { name, onnxShape } of this.inputs) {
      const { datatype, shape, data } = request.inputs.find((input) => input.name === name);
      feeds[name] = new this.ort.Tensor(DATATYPES[datatype].onnx, data, onnxShape.length ? shape : []);
    }
    const wanted = request.outputs ?? this.outputs.map(({ name }) => name);
    let results;
    try {
      results = await this.session.run(feeds, wanted, QUIET);
    } catch (error) {
      // A backend's failure: dimensions that the model leaves open but cannot work with end here.
      throw internal(`onnx runtime error: ${error.message}`);
    }
    return wanted.map((name) => {
      const { type, dims: shape, data } = results[name];
      return { name, datatype: BY_ONNX_NAME[type] ?? type.toUpperCase(), shape: [...shape], data };
    });
  }

  async release() {
    await this.session.release();
  }
}

module.exports = { OnnxModel };
