'use strict';
// The same server by gRPC: inference.GRPCInferenceService as far as kserve.proto has it, by way of the same faults.

const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const PROTO = path.join(__dirname, 'kserve.proto');
const ANY_SIZE = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };

// Where a tensor's data are in a message, by its datatype.
const CONTENTS = {
  BOOL: 'bool_contents', INT8: 'int_contents', INT16: 'int_contents', INT32: 'int_contents', INT64: 'int64_contents', UINT8: 'uint_contents',
  UINT16: 'uint_contents', UINT32: 'uint_contents', UINT64: 'uint64_contents', FP32: 'fp32_contents', FP64: 'fp64_contents', BYTES: 'bytes_contents',
};

function loadService() {
  const definition = protoLoader.loadSync(PROTO, { keepCase: true, longs: Number, defaults: true });
  return grpc.loadPackageDefinition(definition).inference.GRPCInferenceService;
}

function statusOf(answer) {
  const unknown = /unknown model/.test(answer.body);
  return { 400: unknown ? grpc.status.NOT_FOUND : grpc.status.INVALID_ARGUMENT, 403: grpc.status.PERMISSION_DENIED, 404: grpc.status.NOT_FOUND,
    503: grpc.status.UNAVAILABLE, 502: grpc.status.UNAVAILABLE }[answer.status] ?? grpc.status.INTERNAL;
}

function wordsOf(answer) {
  try {
    return JSON.parse(answer.body).error;
  } catch {
    return answer.body;
  }
}

// A message's tensors as HTTP has them in JSON.
function requestOf(message) {
  const inputs = message.inputs.map(({ name, datatype, shape, contents }) => {
    const data = contents?.[CONTENTS[datatype]] ?? [];
    return { name, datatype, shape, data: datatype === 'BYTES' ? data.map((text) => text.toString()) : data };
  });
  const outputs = message.outputs.length ? message.outputs.map(({ name }) => ({ name })) : undefined;
  return { id: message.id || undefined, inputs, outputs };
}

function responseOf(answer) {
  const { outputs, ...head } = JSON.parse(answer.body);
  return { ...head, outputs: outputs.map(({ name, datatype, shape, data }) => (
    { name, datatype, shape, contents: { [CONTENTS[datatype]]: datatype === 'BYTES' ? data.map((text) => Buffer.from(text)) : data } })) };
}

class GrpcFace {
  // `frontEnd`: whose calls these are; `calls`: where they are noted.
  constructor(frontEnd, calls) {
    Object.assign(this, { frontEnd, calls });
    this.service = loadService().service;
    this.server = new grpc.Server(ANY_SIZE);
    const unary = (method, run) => (call, done) => run(call.request, call).then((answer) => done(null, answer), done);
    this.server.addService(this.service, {
      ServerLive: unary('ServerLive', async () => ({ live: (await this.#answer('ServerLive', 'live')).status === 200 })),
      ServerReady: unary('ServerReady', async () => ({ ready: (await this.#answer('ServerReady', 'server_ready')).status === 200 })),
      ModelReady: unary('ModelReady', async ({ name, version }) => ({ ready: (await this.#answer('ModelReady', 'ready', name, version)).status === 200 })),
      ModelMetadata: unary('ModelMetadata', async ({ name, version }) => JSON.parse((await this.#must('ModelMetadata', 'model_metadata', name, version)).body)),
      ModelInfer: unary('ModelInfer', (message) => this.#infer('ModelInfer', message)),
      ModelStreamInfer: (call) => this.#stream(call),
    });
  }

  async #answer(method, route, model, version, body = Buffer.alloc(0)) {
    const noted = this.calls.begin('POST', `/inference.GRPCInferenceService/${method}${model === undefined ? '' : `/${model}`}`);
    const answer = await this.frontEnd.answerCall({ route, model, version: version || undefined, headers: {}, body });
    if (!answer) throw Object.assign(new Error('the call was dropped'), { code: grpc.status.UNAVAILABLE });
    noted.status = answer.status;
    return answer;
  }

  async #must(...call) {
    const answer = await this.#answer(...call);
    if (answer.status !== 200) throw Object.assign(new Error(wordsOf(answer)), { code: statusOf(answer), details: wordsOf(answer) });
    return answer;
  }

  async #infer(method, message) {
    const body = Buffer.from(JSON.stringify(requestOf(message)));
    return responseOf(await this.#must(method, 'infer', message.model_name, message.model_version, body));
  }

  // One answer a message, in their order; what fails is an error in its answer.
  #stream(call) {
    let last = Promise.resolve();
    call.on('data', (message) => {
      last = last.then(() => this.#infer('ModelStreamInfer', message)).then(
        (response) => call.write({ infer_response: response }),
        (error) => call.write({ error_message: error.details ?? error.message }),
      );
    });
    call.on('end', () => last.then(() => call.end()));
    call.on('error', () => {}); // the client went away
  }

  // The port.
  listen(host, port) {
    return new Promise((resolve, reject) => {
      this.server.bindAsync(`${host}:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
    });
  }

  close() {
    this.server.forceShutdown();
  }
}

module.exports = { GrpcFace, PROTO };
