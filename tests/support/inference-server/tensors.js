'use strict';
// Tensors as the KServe v2 protocol writes them in JSON, read and written. A tensor in here is {name, datatype, shape, data}
// with flat data: an array or a typed array.

const { invalid, internal } = require('./errors');

// Nested data deeper than any tensor's rank is an attack or a mistake, and recursion would end in a stack overflow.
const MAX_DEPTH = 32;

const integer = (min, max) => (value) => {
  if (!Number.isInteger(value)) throw invalid("Unable to parse 'data': attempt to access JSON non-integer as integer");
  if (value < min || value > max) throw invalid("Unable to parse 'data': value is out of range");
  return value;
};
const real = (value) => {
  if (typeof value !== 'number') throw invalid("Unable to parse 'data': attempt to access JSON non-number as double");
  return value;
};
// Numbers beyond 2^53 have lost digits by the time JSON.parse hands them over: better refused than wrong.
const wide = (min) => (value) => BigInt(integer(min, Number.MAX_SAFE_INTEGER)(value));

// One row for each datatype of the protocol: its name in ONNX Runtime, its array, the reader of one element.
const DATATYPES = {
  BOOL: { onnx: 'bool', array: Uint8Array, read: readBool },
  INT8: { onnx: 'int8', array: Int8Array, read: integer(-128, 127) },
  INT16: { onnx: 'int16', array: Int16Array, read: integer(-32768, 32767) },
  INT32: { onnx: 'int32', array: Int32Array, read: integer(-2147483648, 2147483647) },
  INT64: { onnx: 'int64', array: BigInt64Array, read: wide(Number.MIN_SAFE_INTEGER) },
  UINT8: { onnx: 'uint8', array: Uint8Array, read: integer(0, 255) },
  UINT16: { onnx: 'uint16', array: Uint16Array, read: integer(0, 65535) },
  UINT32: { onnx: 'uint32', array: Uint32Array, read: integer(0, 4294967295) },
  UINT64: { onnx: 'uint64', array: BigUint64Array, read: wide(0) },
  FP32: { onnx: 'float32', array: Float32Array, read: real },
  FP64: { onnx: 'float64', array: Float64Array, read: real },
  BYTES: { onnx: 'string', array: Array, read: readText },
};
const BY_ONNX_NAME = Object.fromEntries(Object.entries(DATATYPES).map(([name, { onnx }]) => [onnx, name]));
// Half floats exist in models but not in JSON: named, so that the refusals below can name them.
Object.assign(BY_ONNX_NAME, { float16: 'FP16', bfloat16: 'BF16' });

function readBool(value) {
  if (typeof value !== 'boolean') throw invalid("Unable to parse 'data': attempt to access JSON non-boolean as boolean");
  return value ? 1 : 0;
}

function readText(value) {
  if (typeof value !== 'string') throw invalid("Unable to parse 'data': attempt to access JSON non-string as string");
  return value;
}

function flatten(data, into = [], depth = 0) {
  if (depth > MAX_DEPTH) throw invalid("Unable to parse 'data': nested too deep");
  for (const item of data) {
    if (Array.isArray(item)) flatten(item, into, depth + 1);
    else into.push(item);
  }
  return into;
}

function member(object, name, is, kind) {
  if (typeof object !== 'object' || object === null || object[name] === undefined) {
    throw invalid(`Unable to parse '${name}': attempt to access non-existing object member '${name}'`);
  }
  if (!is(object[name])) throw invalid(`Unable to parse '${name}': attempt to access JSON non-${kind} as ${kind}`);
  return object[name];
}

const isString = (value) => typeof value === 'string';

function readTensor(json) {
  const name = member(json, 'name', isString, 'string');
  const datatype = member(json, 'datatype', isString, 'string');
  const shape = member(json, 'shape', Array.isArray, 'array');
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw invalid("Unable to parse 'shape': attempt to access JSON non-unsigned-integer as unsigned-integer");
  }
  if (datatype === 'FP16' || datatype === 'BF16') {
    throw invalid(`receiving ${datatype} data via JSON is not supported. Please use the binary data format for input ${name}`);
  }
  const type = Object.hasOwn(DATATYPES, datatype) ? DATATYPES[datatype] : undefined;
  if (!type) throw invalid(`invalid datatype for input ${name}`);

  const values = flatten(member(json, 'data', Array.isArray, 'array'));
  const count = shape.reduce((product, size) => product * size, 1);
  if (values.length !== count) {
    throw invalid("Unable to parse 'data': Shape does not match true shape of 'data' field");
  }
  return { name, datatype, shape, data: type.array.from(values, type.read) };
}

// Reads an inference request: {id, inputs, outputs}, where outputs is undefined (all of them) or a list of names.
function readRequest(json) {
  const inputs = member(json, 'inputs', Array.isArray, 'array').map(readTensor);
  const repeated = inputs.find(({ name }, i) => inputs.findIndex((input) => input.name === name) !== i);
  if (repeated) throw invalid(`input '${repeated.name}' already exists in request`);
  const id = json.id === undefined ? undefined : member(json, 'id', isString, 'string');
  if (json.outputs === undefined) return { id, inputs };
  const outputs = member(json, 'outputs', Array.isArray, 'array').map((one) => member(one, 'name', isString, 'string'));
  return { id, inputs, outputs };
}

function dataText({ name, datatype, data }) {
  if (datatype === 'FP16' || datatype === 'BF16') {
    throw internal(`sending ${datatype} data via JSON is not supported. Please use the binary data format for output ${name}`);
  }
  if (datatype === 'BYTES') return JSON.stringify(Array.from(data));
  if (datatype === 'BOOL') return JSON.stringify(Array.from(data, Boolean));
  // JSON.stringify refuses a BigInt, so numbers are written by hand; JSON has no word for NaN and infinity.
  return `[${Array.from(data, (value) => (typeof value === 'bigint' || Number.isFinite(value) ? String(value) : 'null')).join(',')}]`;
}

function writeTensor(tensor) {
  const head = JSON.stringify({ name: tensor.name, datatype: tensor.datatype, shape: tensor.shape });
  return `${head.slice(0, -1)},"data":${dataText(tensor)}}`;
}

// Writes an inference answer: `head` (id, model_name, model_version) and the outputs, as JSON text.
function writeAnswer(head, outputs) {
  return `${JSON.stringify(head).slice(0, -1)},"outputs":[${outputs.map(writeTensor).join(',')}]}`;
}

module.exports = { DATATYPES, BY_ONNX_NAME, readRequest, writeAnswer };
