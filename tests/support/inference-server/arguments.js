'use strict';
// The command line: read, checked, and explained.

const fs = require('node:fs');
const { parseArgs } = require('node:util');

const HELP = `A KServe v2 inference server for the tests and the quick start of Rollout for nginx. It is a test's tool:
do not serve models with it.

node server.js --repository DIR --port N [options]

  --repository DIR    the folder of the models
  --port N            0 for any free port
  --grpc-port N       where the same server speaks gRPC (nowhere); 0 for any free port
  --host ADDRESS      where to listen (127.0.0.1)
  --ready-file FILE   gets the port's number as soon as the server listens
  --control MODE      explicit (the default), poll or none: who loads models
  --poll-secs S       in poll mode, how often to look at the folder (15)
  --flavour NAME      whose behaviour: triton (the default) or mlserver
  --help
`;

const OPTIONS = {
  repository: { type: 'string' },
  port: { type: 'string' },
  'grpc-port': { type: 'string' },
  host: { type: 'string', default: '127.0.0.1' },
  'ready-file': { type: 'string' },
  control: { type: 'string', default: 'explicit' },
  'poll-secs': { type: 'string', default: '15' },
  flavour: { type: 'string', default: 'triton' },
  help: { type: 'boolean', default: false },
};

// The command line is wrong; `message` is one sentence about it.
class WrongArguments extends Error {}

function refuseUnless(right, sentence) {
  if (!right) throw new WrongArguments(sentence);
}

function read(args) {
  try {
    return parseArgs({ args, options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new WrongArguments(error.message.split(/\. |\n/)[0]); // what follows is advice on how to write such options
  }
}

// Returns {help: true}, or {repository, port, grpcPort (undefined: none), host, readyFile, control, pollSecs, flavour}.
function readArguments(args) {
  const given = read(args);
  if (given.help) return { help: true };
  const { repository, host, control, flavour } = given;
  refuseUnless(repository, '--repository is missing');
  refuseUnless(fs.statSync(repository, { throwIfNoEntry: false })?.isDirectory(), `--repository: '${repository}' is not a folder`);
  refuseUnless(given.port, '--port is missing');
  refuseUnless(/^\d{1,5}$/.test(given.port) && Number(given.port) <= 65535, `--port must be a number from 0 to 65535, not '${given.port}'`);
  const grpcPort = given['grpc-port'];
  refuseUnless(grpcPort === undefined || (/^\d{1,5}$/.test(grpcPort) && Number(grpcPort) <= 65535), `--grpc-port must be a number from 0 to 65535, not '${grpcPort}'`);
  refuseUnless(['explicit', 'poll', 'none'].includes(control), `--control must be explicit, poll or none, not '${control}'`);
  refuseUnless(Number(given['poll-secs']) > 0, `--poll-secs must be a number above 0, not '${given['poll-secs']}'`);
  refuseUnless(['triton', 'mlserver'].includes(flavour), `--flavour must be triton or mlserver, not '${flavour}'`);
  refuseUnless(flavour === 'triton' || control === 'explicit', '--flavour mlserver goes with --control explicit only');
  return { repository, port: Number(given.port), grpcPort: grpcPort === undefined ? undefined : Number(grpcPort), host, readyFile: given['ready-file'], control, pollSecs: Number(given['poll-secs']), flavour };
}

module.exports = { HELP, WrongArguments, readArguments };
