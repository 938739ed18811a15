#!/usr/bin/env node
'use strict';
// The command: node server.js --repository DIR --port N. See --help.

const fs = require('node:fs');
const { HELP, WrongArguments, readArguments } = require('./arguments');
const { InferenceServer } = require('./inference_server');

// Whoever waits for the file must never see half of it, nor that of a server before this one.
function writeReadyFile(file, port) {
  const temporary = `${file}.${process.pid}.tmp`;
  fs.writeFileSync(temporary, `${port}\n`);
  fs.renameSync(temporary, file);
}

function removeReadyFile(file) {
  if (file) fs.rmSync(file, { force: true });
}

async function serve(options) {
  console.log("This is a test's inference server: do not serve models with it.");
  removeReadyFile(options.readyFile);
  const server = new InferenceServer(options, (line) => console.log(line));
  const stop = async () => {
    await server.stop();
    removeReadyFile(options.readyFile);
    process.exit(0);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);

  const port = await server.start();
  const { repository, host, control, flavour } = options;
  console.log(`Listening on http://${host}:${port} as ${flavour}, control ${control}, models in ${repository}`);
  if (options.readyFile) writeReadyFile(options.readyFile, port);
}

async function main() {
  process.stdout.on('error', () => {}); // whoever read the output is gone; the server goes on
  const options = readArguments(process.argv.slice(2));
  if (options.help) process.stdout.write(HELP);
  else await serve(options);
}

main().catch((error) => {
  const wrong = error instanceof WrongArguments;
  console.error(`server.js: ${error.message}${wrong ? ' (see --help)' : ''}`);
  process.exit(wrong ? 2 : 1);
});
