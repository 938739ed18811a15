'use strict';
// The faults that hit a call before it reaches the server proper, as something in between would cause them. Those about a
// model's loading or its inference are carried out in repository.js.

const { endless, failure, html, stalled } = require('./answers');

const RESTRICTED_HEADER = 'x-inference-key';
const RESTRICTED_VALUE = 'secret';

function restricted(faults, call) {
  const header = (fault) => fault.header ?? RESTRICTED_HEADER;
  const has = (fault) => call.headers[header(fault).toLowerCase()] === (fault.value ?? RESTRICTED_VALUE);
  const fault = faults.take('restricted', call, has);
  return fault && failure(403, `This API is restricted, expecting header '${header(fault)}'`);
}

function proxyPage(faults, call) {
  const fault = faults.take('html', call);
  if (!fault) return undefined;
  const status = fault.status ?? 502;
  const title = `${status} ${status === 502 ? 'Bad Gateway' : 'Error'}`;
  return html(status, `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n`
    + '<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n');
}

function unavailable(faults, call) {
  return faults.take('unavailable', call) && failure(503, 'Server not ready');
}

function noIndex(faults, call) {
  return call.route === 'index' && faults.take('no_index') ? failure(404, 'Not Found') : undefined;
}

function related(faults, call) {
  if (call.route !== 'load' && call.route !== 'unload') return undefined;
  const fault = faults.take('related', call);
  return fault && failure(500, `a related model '${fault.related ?? call.model}' to a load/unload request is currently loading or unloading`);
}

// A body that begins and never ends: without a byte more, or with ever more of them.
function unendingBody(faults, call) {
  const fault = faults.take('endless', call);
  if (fault) return endless(fault.status ?? 200);
  return faults.take('stalled', call) && stalled(200);
}

// The answer that a fault gives in the server's place, if one does. `call` is {route, model, headers}.
function answerOfFault(faults, call) {
  return restricted(faults, call) ?? proxyPage(faults, call) ?? unendingBody(faults, call) ?? unavailable(faults, call) ?? noIndex(faults, call) ?? related(faults, call);
}

module.exports = { answerOfFault };
