'use strict';
// A gRPC client for the tests: a call a line on standard input, as JSON, and its answer a line on standard output.
//
// {"method": "ModelInfer", "message": {…}, "deadline_ms": N} is answered {"answer": {…}} or {"code": N, "details": "…"};
// {"method": "ModelStreamInfer", "messages": […]} is answered {"answers": […]}, with a code and details if the stream ended so.
// node grpc_client.js HOST:PORT

const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const { PROTO } = require('./grpc_face');

const { GRPCInferenceService } = grpc.loadPackageDefinition(protoLoader.loadSync(PROTO, { keepCase: true, longs: Number, defaults: true })).inference;
const client = new GRPCInferenceService(process.argv[2], grpc.credentials.createInsecure());

const failure = ({ code, details }) => ({ code, details });

function unary({ method, message, deadline_ms: ms }) {
  const options = { deadline: Date.now() + (ms ?? 60000) };
  return new Promise((resolve) => {
    client[method](message, new grpc.Metadata(), options, (error, answer) => resolve(error ? failure(error) : { answer }));
  });
}

function stream({ method, messages }) {
  const answers = [];
  return new Promise((resolve) => {
    const call = client[method](new grpc.Metadata(), { deadline: Date.now() + 60000 });
    call.on('data', (answer) => answers.push(answer));
    call.on('error', (error) => resolve({ answers, ...failure(error) }));
    call.on('end', () => resolve({ answers }));
    for (const message of messages) call.write(message);
    call.end();
  });
}

async function answer(line) {
  const { id, ...asked } = JSON.parse(line);
  const answered = await (asked.messages ? stream(asked) : unary(asked));
  process.stdout.write(`${JSON.stringify({ id, ...answered })}\n`);
}

const calls = [];
readline.createInterface({ input: process.stdin })
  .on('line', (line) => calls.push(answer(line)))
  .on('close', () => Promise.all(calls).then(() => client.close()));
