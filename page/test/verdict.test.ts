import assert from "node:assert/strict";
import { test } from "node:test";
import { adds_to_verdict, bad_reason, status_words, verdict_of } from "../src/words/verdict";
import { counts, gate, NOW, task } from "./samples";

const said = (...of: Parameters<typeof task>) => verdict_of(task(...of), "deploy", NOW);

test("a hold says how much longer it lasts", () => {
  assert.deepEqual(said({}, { waits_for: "time", hold_ends_at: "2026-11-24T12:00:19Z" }),
    { tone: "busy", sentence: "Revision 7 has 25 % of the traffic for another 19 s at the least." });
  assert.equal(said({}, { waits_for: "time", hold_ends_at: "2026-11-24T11:59:19Z" }).sentence, "Revision 7 has 25 % of the traffic.");
});

test("too few requests are said with their number", () => {
  const few = gate({ green: counts({ requests: 41 }), limits: { min_requests: 50 } });
  assert.deepEqual(said({}, { waits_for: "requests", gate: few }),
    { tone: "waiting", sentence: "Revision 7 has 25 % of the traffic; 41 of 50 requests are in, and the hold lasts until all are." });
  assert.equal(said({}, { waits_for: "requests" }).sentence, "Revision 7 has 25 % of the traffic and waits for more requests.");
});

test("a person is told that it waits for them, and for what", () => {
  assert.deepEqual(said({}, { waits_for: "person" }), { tone: "waiting", sentence: "Revision 7 has 25 % of the traffic and waits for you: promote it to go on." });
  assert.equal(said({}, { waits_for: "person", paused: true }).sentence, "Revision 7 has 25 % of the traffic and is paused; resume it to go on.");
});

test("what else it waits for", () => {
  assert.equal(said({}, { step: "load", waits_for: "server", traffic_weight: 0 }).sentence, "Revision 7 waits for the inference server, in step load.");
  assert.equal(said({}, { waits_for: "gateway" }).sentence, "Revision 7 waits for a gateway to confirm the route, or to connect, in step shift.");
  assert.equal(said({ status: "pending" }).sentence, "Revision 7 waits for its turn.");
});

test("a step says how long it runs", () => {
  const steps = [{ name: "load", state: "running" as const, attempts: 1, started_at: "2026-11-24T11:59:57.500Z", ended_at: null, detail: "" }];
  assert.equal(said({}, { step: "load", traffic_weight: 0, steps }).sentence, "Revision 7 is in step load for 2 s.");
});

test("the end says what came of it, and why", () => {
  assert.deepEqual(said({ status: "completed" }, { elapsed_ms: 4112 }), { tone: "good", sentence: "Revision 7 serves all traffic of model 123. It took 4.1 s." });
  assert.deepEqual(said({ status: "failed", detail: "The gate found it bad" }), { tone: "bad", sentence: "Revision 7 failed: The gate found it bad." });
  assert.deepEqual(said({ status: "refused", detail: "Too many models." }), { tone: "bad", sentence: "Refused: Too many models." });
  assert.deepEqual(said({ status: "canceled", detail: "By a client." }), { tone: "idle", sentence: "Canceled: By a client." });
  assert.equal(verdict_of(task({ status: "completed" }), "delete", NOW).sentence, "Model 123 is deleted.");
});

test("the way back is bad news", () => {
  assert.deepEqual(said({ detail: "Traffic goes back" }, { step: "rollback" }), { tone: "bad", sentence: "Revision 7 is being taken back: Traffic goes back." });
  assert.equal(said({ detail: "x" }, { cancel_asked: true }).tone, "bad");
});

test("the gate's reason is shown if it has found the revision bad", () => {
  assert.equal(bad_reason(task({}, { gate: gate({ verdict: "bad", reason: "3 of 3 failed" }) })), "3 of 3 failed.");
  assert.equal(bad_reason(task({}, { gate: gate() })), null);
  assert.equal(bad_reason(task()), null);
});

test("lists have a word for what a task is at", () => {
  assert.equal(status_words(task()), "in progress");
  assert.equal(status_words(task({}, { paused: true })), "paused");
  assert.equal(status_words(task({}, { waits_for: "person" })), "waits for you");
  assert.equal(status_words(task({}, { cancel_asked: true })), "canceling");
  assert.equal(status_words(task({ status: "refused" })), "refused");
});

test("the task's own detail is shown where it says more", () => {
  assert.equal(adds_to_verdict(task({ detail: "Until 12:00." }, { waits_for: "time" })), false);
  assert.equal(adds_to_verdict(task({ detail: "Step load of revision 7 is running." }, { step: "load" })), false);
  assert.equal(adds_to_verdict(task({ detail: "Waits for POST /deploy/t1/promote." }, { waits_for: "person" })), true);
  assert.equal(adds_to_verdict(task({ detail: "It failed.", status: "failed" })), false);
});
