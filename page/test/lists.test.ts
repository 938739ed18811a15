import assert from "node:assert/strict";
import { test } from "node:test";
import { complete_part } from "../src/view/history";
import { place_of } from "../src/view/context";
import { last_tasks, merged, queued, under_way, with_route, with_row } from "../src/state/live";
import { Rates } from "../src/state/rates";
import { problems_first, urgency } from "../src/words/model_words";
import { advice_for } from "../src/words/problems";
import { with_own_words } from "../src/api/documents";
import { model, task } from "./samples";

const at = (second: number) => `2026-11-24T12:00:${String(second).padStart(2, "0")}.000000Z`;

test("lists that overlap have each task once, in its newest state, the newest first", () => {
  const old = task({ task_id: "a", created_at: at(1), updated_at: at(1) });
  const newer = task({ task_id: "a", created_at: at(1), updated_at: at(5), status: "completed" });
  const other = task({ task_id: "b", created_at: at(2), updated_at: at(2), status: "pending" });
  const all = merged([[old], [newer, other]]);
  assert.deepEqual(all, [other, newer]);
  assert.deepEqual(queued(all), [other]);
  assert.deepEqual(under_way(all), []);
});

test("of two lists that go on, only what is newer than both ends is shown", () => {
  const made = (id: string, kind: "deploy" | "delete", second: number) => ({ ...task({ task_id: id, created_at: at(second) }), kind });
  const tasks = [made("d", "deploy", 9), made("c", "delete", 8), made("b", "deploy", 5), made("a", "delete", 1)];
  assert.deepEqual(complete_part({ tasks, tokens: { deploy: "x" } }).map(({ task_id }) => task_id), ["d", "c", "b"]);
  assert.deepEqual(complete_part({ tasks, tokens: {} }), tasks);
});

test("a model's last task is the one that runs, or else the newest", () => {
  const runs = task({ task_id: "a", created_at: at(1) });
  const waits = task({ task_id: "b", created_at: at(2), status: "pending" });
  const ended = task({ task_id: "c", created_at: at(3), status: "failed" });
  assert.equal(last_tasks([ended, waits, runs]).get("123"), runs);
  assert.equal(last_tasks([waits]).get("123"), waits);
});

test("problems come first, then what is under way, then names in their order", () => {
  const named = (model_id: string, what = {}) => model({ model_id, ...what });
  const failed = task({ model_id: "m10", status: "failed" });
  const models = [named("m2"), named("m10"), named("m1"), named("x", { state: "rolling_out" }), named("z", { state: "lost" })];
  const last_of = (id: string) => (id === "m10" ? failed : undefined);
  assert.deepEqual(problems_first(models, last_of).map(({ model_id }) => model_id), ["z", "m10", "x", "m1", "m2"]);
  assert.equal(urgency(named("w"), task({}, { waits_for: "person" })), 2);
  assert.equal(urgency(named("w", { task_ids: ["t"] }), undefined), 1);
});

test("events change what they name and nothing else", () => {
  const row = { task_id: "t1", model_id: "123", kind: "deploy" as const, status: "processing" as never, step: "shift", weight: 50, revision: 7, detail: "now", updated_at: at(9) };
  const changed = with_row(task({ created_by: { user: "ann" } }, { waits_for: "time" }), row);
  assert.equal(changed.status, "in_progress");
  assert.deepEqual([changed.metadata.traffic_weight, changed.metadata.waits_for, changed.detail, changed.created_by], [50, undefined, "now", { user: "ann" }]);
  const servers = { ...model().blue!, servers: ["a"] };
  const routed = with_route(model({ blue: servers }), { model_id: "123", part: "", blue: { revision: 7, model: "123__r7" }, green: { revision: 8, model: "123__r8" }, weight: 5 });
  assert.deepEqual([routed.blue, routed.green?.revision, routed.weight], [servers, 8, 5]);
  assert.deepEqual(with_route(model(), { model_id: "123", part: "encoder", blue: null, green: null, weight: 0 }), model());
});

test("another dialect's words are read as the own", () => {
  assert.equal(with_own_words({ status: "processing" as never }).status, "in_progress");
  assert.equal(with_own_words({ status: "done" as never }).status, "completed");
  assert.equal(with_own_words({ status: "failed" }).status, "failed");
});

test("addresses are read as they are written", () => {
  assert.deepEqual(place_of("#/models/a%20b").path, ["models", "a b"]);
  assert.deepEqual(place_of("#/models/%").path, ["models", "%"]);
  assert.deepEqual(place_of("").path, []);
  assert.equal(place_of("#/history?status=failed&model=a").query.get("status"), "failed");
});

test("rates are differences of the counters of both slots", () => {
  const rates = new Rates();
  const slot = (requests: number, failed: number, buckets: number[]) => ({ requests, failed, buckets });
  const sample = (blue: ReturnType<typeof slot> | null, green: ReturnType<typeof slot> | null) => ({ bounds_ms: [1, 10, 100], models: [{ model_id: "a", part: "", blue, green }] });
  rates.take(sample(slot(100, 1, [90, 10, 0, 0]), null), 0);
  assert.equal(rates.of("a", 1000), null);
  rates.take(sample(slot(250, 2, [170, 78, 2, 0]), slot(50, 1, [30, 17, 3, 0])), 2000);
  assert.deepEqual(rates.of("a", 2000), { per_second: 100, failed: 0.01, p99_ms: 100 });
  // A model that no later sample names has had no requests since.
  assert.equal(rates.of("a", 4000)!.per_second, 50);
  assert.deepEqual(rates.of("a", 40000), { per_second: 0, failed: 0, p99_ms: null });
  rates.take(sample(slot(10, 0, [10, 0, 0, 0]), null), 42000); // another route: its counters began anew
  assert.equal(rates.of("a", 42000), null);
  assert.equal(rates.of("b", 0), null);
});

test("a model's parts are counted together", () => {
  const rates = new Rates();
  const part = (name: string, requests: number) => ({ model_id: "a", part: name, blue: { requests, failed: 0, buckets: [requests, 0] }, green: null });
  rates.take({ bounds_ms: [1], models: [part("x", 10), part("y", 10)] }, 0);
  rates.take({ bounds_ms: [1], models: [part("x", 30)] }, 2000);
  assert.deepEqual(rates.of("a", 2000), { per_second: 10, failed: 0, p99_ms: 1 });
});

test("each refusal has words of its own", () => {
  const titles = [0, 401, 403, 404, 429, 503, 500].map((status) => advice_for({ status, title: "T", detail: "D." }, "The list", "/models").title);
  assert.equal(new Set(titles).size, titles.length);
});
