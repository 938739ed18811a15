'use strict';
// server.js as a command: its arguments, its ready file, its end.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { WrongArguments, readArguments } = require('../arguments');
const { call, temporaryFolder, until, writeModel } = require('./support');

const SERVER = path.join(__dirname, '..', 'server.js');

function run(t, args) {
  const child = spawn(process.execPath, [SERVER, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const running = { child, stdout: '', stderr: '', ended: once(child, 'close') };
  child.stdout.on('data', (data) => { running.stdout += data; });
  child.stderr.on('data', (data) => { running.stderr += data; });
  return running;
}

async function start(t) {
  const root = temporaryFolder(t);
  const readyFile = path.join(temporaryFolder(t), 'port');
  const running = run(t, ['--repository', root, '--port', '0', '--ready-file', readyFile]);
  await until(() => fs.existsSync(readyFile), 'the ready file');
  return { ...running, running, root, readyFile, port: Number(fs.readFileSync(readyFile, 'utf8')) };
}

test('the ready file holds the port, and the first line says what this is', async (t) => {
  const { running, root, port } = await start(t);
  writeModel(root, 'm', 'one');
  assert.equal((await call(port, 'POST', '/v2/repository/models/m/load')).status, 200);
  assert.match(running.stdout, /^This is a test's inference server/);
  await until(() => running.stdout.includes('load m: 200'), 'the load in the log');
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} ends it with 0 at once, connections or not`, async (t) => {
    const { child, ended, port, readyFile } = await start(t);
    assert.equal((await call(port, 'GET', '/v2/health/live', { headers: { Connection: 'keep-alive' } })).status, 200);
    const before = Date.now();
    child.kill(signal);
    const [code] = await ended;
    assert.equal(code, 0);
    assert.ok(Date.now() - before < 2000);
    assert.equal(fs.existsSync(readyFile), false);
  });
}

test('a request that hangs does not hold up the end', async (t) => {
  const { child, ended, root, port } = await start(t);
  await call(port, 'PUT', '/test/faults', { body: '{"faults": [{"kind": "slow_load", "ms": 60000}]}' });
  writeModel(root, 'm', 'one');
  const load = assert.rejects(call(port, 'POST', '/v2/repository/models/m/load'));
  await until(async () => (await call(port, 'GET', '/test/models')).json.m?.state === 'LOADING', 'the load');
  child.kill('SIGTERM');
  assert.equal((await ended)[0], 0);
  await load;
});

test('--help says that it is a test\'s tool', async (t) => {
  const running = run(t, ['--help']);
  assert.equal((await running.ended)[0], 0);
  assert.match(running.stdout, /test's tool/);
});

test('wrong arguments are one sentence and 2', async (t) => {
  const running = run(t, ['--port', '0']);
  assert.equal((await running.ended)[0], 2);
  assert.equal(running.stderr, 'server.js: --repository is missing (see --help)\n');
});

test('each wrong argument is named', (t) => {
  const root = temporaryFolder(t);
  const right = ['--repository', root, '--port', '0'];
  for (const [args, why] of [
    [['--repository', root], /^--port is missing$/],
    [['--repository', path.join(root, 'x'), '--port', '0'], /is not a folder$/],
    [['--repository', root, '--port', '65536'], /^--port must be a number/],
    [['--repository', root, '--port'], /--port/],
    [[...right, '--control', 'auto'], /^--control must be/],
    [[...right, '--poll-secs', '0'], /^--poll-secs must be/],
    [[...right, '--flavour', 'kserve'], /^--flavour must be/],
    [[...right, '--flavour', 'mlserver', '--control', 'poll'], /goes with --control explicit/],
    [[...right, '--fast'], /'--fast'/],
    [[...right, 'more'], /'more'/],
  ]) {
    assert.throws(() => readArguments(args), (error) => error instanceof WrongArguments && why.test(error.message) && !error.message.includes('\n'));
  }
});

test('a port that is taken is one sentence and 1', async (t) => {
  const { port } = await start(t);
  const running = run(t, ['--repository', temporaryFolder(t), '--port', String(port)]);
  assert.equal((await running.ended)[0], 1);
  assert.match(running.stderr, /EADDRINUSE/);
});
