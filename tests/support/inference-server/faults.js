'use strict';
// The faults that a test can switch on: what they are, which calls they hit, how often. Carrying them out is up to the part
// that a fault is about; each asks here with take().

const { ServerError } = require('./errors');

const ROUTES = ['live', 'server_ready', 'server_metadata', 'model_metadata', 'ready', 'infer', 'index', 'load', 'unload'];

const isText = (value) => typeof value === 'string';
const isTime = (value) => Number.isFinite(value) && value >= 0;
const isStatus = (value) => Number.isInteger(value) && value >= 400 && value <= 599;
const isPageStatus = (value) => Number.isInteger(value) && value >= 200 && value <= 599;
const isShare = (value) => Number.isFinite(value) && value >= 0 && value <= 1;
const isFlag = (value) => typeof value === 'boolean';
const isRoute = (value) => ROUTES.includes(value);
const isFlavour = (value) => ['triton', 'mlserver'].includes(value);

// For each kind, its members beside `kind`, `model` and `times`. Those in `needs` must be given.
const KINDS = {
  slow_load: { members: { ms: isTime }, needs: ['ms'] },
  failed_load: { members: { status: isStatus, error: isText } },
  never_ready: { members: {} },
  slow_unload: { members: { ms: isTime }, needs: ['ms'] },
  failed_unload: { members: { error: isText } },
  related: { members: { route: isRoute, related: isText } },
  slow_infer: { members: { ms: isTime }, needs: ['ms'] },
  failed_infer: { members: { share: isShare, status: isStatus, error: isText } },
  unavailable: { members: { route: isRoute } },
  dropped: { members: { route: isRoute, carried_out: isFlag } },
  html: { members: { route: isRoute, status: isPageStatus } },
  stalled: { members: { route: isRoute } },
  endless: { members: { route: isRoute, status: isPageStatus } },
  restricted: { members: { route: isRoute, header: isText, value: isText } },
  other_version: { members: { version: isText }, needs: ['version'] },
  no_index: { members: {}, global: true },
  flavour: { members: { flavour: isFlavour }, needs: ['flavour'], global: true },
};

// A pattern for models' names: /a regular expression/, or a glob where * is any text and ? any one character.
function pattern(text) {
  if (text.length > 1 && text.startsWith('/') && text.endsWith('/')) {
    try {
      return new RegExp(text.slice(1, -1), 'u');
    } catch (error) {
      throw new ServerError(400, `'model' is no regular expression: ${error.message}`);
    }
  }
  const escaped = text.replace(/[.+^${}()|[\]\\/]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.');
  return new RegExp(`^${escaped}$`, 'su');
}

class Fault {
  constructor(json) {
    const refuse = (why) => { throw new ServerError(400, `fault ${JSON.stringify(json)}: ${why}`); };
    if (typeof json !== 'object' || json === null || Array.isArray(json)) refuse('not an object');
    const { kind, model, times, ...members } = json;
    const rules = Object.hasOwn(KINDS, kind) ? KINDS[kind] : refuse(`'kind' must be one of ${Object.keys(KINDS).join(', ')}`);
    if (model !== undefined && (rules.global || !isText(model))) refuse("'model' must be a string, and is not for a fault of the whole server");
    if (times !== undefined && !(Number.isInteger(times) && times > 0)) refuse("'times' must be a whole number above 0");
    for (const [name, value] of Object.entries(members)) {
      if (!Object.hasOwn(rules.members, name)) refuse(`unknown member '${name}'`);
      if (!rules.members[name](value)) refuse(`'${name}' has a wrong value`);
    }
    for (const name of rules.needs ?? []) if (members[name] === undefined) refuse(`'${name}' is missing`);

    this.kind = kind;
    this.global = rules.global ?? false;
    this.json = json;
    this.members = members;
    this.pattern = pattern(model ?? '*');
    this.everyModel = model === undefined || model === '*';
    this.left = times ?? Infinity;
    this.taken = 0;
    this.owed = 0; // of failed_infer: what its share adds up to
  }

  hits(kind, model, route) {
    if (kind !== this.kind || this.left === 0) return false;
    if (this.members.route !== undefined && this.members.route !== route) return false;
    return model === undefined ? this.everyModel : this.pattern.test(model);
  }

  // A share is spread evenly and not drawn by chance: of any n calls, n * share fail, give or take one.
  isDue() {
    this.owed += this.members.share ?? 1;
    if (this.owed < 1 - 1e-9) return false;
    this.owed -= 1;
    return true;
  }

  take() {
    if (!this.isDue()) return undefined;
    this.left -= 1;
    this.taken += 1;
    return this.members;
  }

  describe() {
    return { ...this.json, taken: this.taken, ...(this.left === Infinity ? {} : { left: this.left }) };
  }
}

class Faults {
  constructor() {
    this.list = [];
    this.pauses = new Set(); // of each pause() under way: what ends it
    this.own = new Map(); // a model's name: {text, list}, from the `faults` member of its model.json
  }

  set(json) {
    const list = Array.isArray(json) ? json : json?.faults;
    if (!Array.isArray(list)) throw new ServerError(400, 'expected {"faults": […]} or a list of faults');
    this.list = list.map((one) => new Fault(one));
  }

  clear() {
    this.list = [];
    for (const end of this.pauses) end();
  }

  // Waits as a slow_… fault says, or until the faults are cleared: a test can hold a call for as long as it needs and not for
  // as long as it guesses.
  pause(ms) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.pauses.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.pauses.add(end);
    });
  }

  // Takes over the faults that a model brings itself; they hit that model only. The same list again keeps its counts, so that
  // "the first two calls" means it across loads.
  learn(model, json = []) {
    const text = JSON.stringify(json);
    if ((this.own.get(model)?.text ?? '[]') === text) return;
    const list = Array.isArray(json) ? json.map((one) => new Fault(one)) : undefined;
    if (!list) throw new ServerError(400, "'faults' must be a list");
    const stranger = list.find((fault) => fault.global || fault.json.model !== undefined);
    if (stranger) throw new ServerError(400, `fault ${JSON.stringify(stranger.json)}: a model's own faults are about itself`);
    this.own.set(model, { text, list });
  }

  // The first fault of this kind that hits this call now: its members; undefined if there is none. Counts as one of its
  // `times`. Calls that are about no model, as the index, are hit by faults without a pattern only. `unless` tells, from a
  // fault's members, that this call is spared.
  take(kind, { model, route } = {}, unless = () => false) {
    if (this.list.length === 0 && this.own.size === 0) return undefined;
    const own = (model !== undefined && this.own.get(model)?.list) || [];
    return [...this.list, ...own].find((fault) => fault.hits(kind, model, route) && !unless(fault.members))?.take();
  }

  describe() {
    const own = [...this.own].map(([model, { list }]) => [model, list.map((fault) => fault.describe())]);
    return { faults: this.list.map((fault) => fault.describe()), own: Object.fromEntries(own) };
  }
}

module.exports = { Faults };
