import assert from "node:assert/strict";
import { test } from "node:test";
import { offers_of } from "../src/words/verbs";
import { model, NOW, task } from "./samples";

const verbs = (...of: Parameters<typeof offers_of>) => offers_of(...of).map(({ verb }) => verb);
const does = (verb: string, ...of: Parameters<typeof offers_of>) => offers_of(...of).find((offer) => offer.verb === verb)!;
const plan = { steps: [{ weight: 5, hold_s: 30 }, { weight: 25, hold_s: 60 }, { weight: 50, hold_s: 0 }], promote: "auto" as const, watch_s: 0, old: "keep" as const };

test("a shift can be promoted, paused and canceled", () => {
  assert.deepEqual(verbs(task(), "deploy", model(), NOW), ["promote", "pause", "cancel"]);
  assert.deepEqual(verbs(task({}, { paused: true }), "deploy", model(), NOW), ["promote", "resume", "cancel"]);
});

test("before and after the shift there is less to do", () => {
  assert.deepEqual(verbs(task({}, { step: "load", traffic_weight: 0 }), "deploy", model(), NOW), ["cancel"]);
  assert.deepEqual(verbs(task({ status: "pending" }), "deploy", model(), NOW), ["cancel"]);
  for (const step of ["promote", "retire"]) {
    assert.deepEqual(verbs(task({}, { step }), "deploy", model(), NOW), []);
  }
});

test("who is on the way back cannot be steered", () => {
  assert.deepEqual(verbs(task({}, { step: "rollback" }), "deploy", model(), NOW), []);
  assert.deepEqual(verbs(task({}, { cancel_asked: true }), "deploy", model(), NOW), []);
});

test("a promotion that a person is asked for needs no name, one before its time does", () => {
  const asked = does("promote", task({}, { waits_for: "person", plan, traffic_weight: 50 }), "deploy", model(), NOW);
  assert.equal(asked.type_name, false);
  assert.equal(asked.does, "All of 123's traffic goes to revision 7.");
  const early = does("promote", task({}, { waits_for: "time", hold_ends_at: "2026-11-24T12:00:19Z", plan }), "deploy", model(), NOW);
  assert.equal(early.type_name, true);
  assert.equal(early.does, "The hold at 25 % ends before its time. Revision 7 gets 50 % of 123's traffic.");
  const paused = does("promote", task({}, { waits_for: "person", paused: true, hold_ends_at: "2026-11-24T12:00:19Z", plan }), "deploy", model(), NOW);
  assert.equal(paused.type_name, true);
});

test("a cancel says what is lost", () => {
  const back = does("cancel", task(), "deploy", model(), NOW);
  assert.equal(back.does, "All of 123's traffic goes back to the revision that served before, and revision 7 is removed.");
  assert.equal(back.type_name, true);
  assert.equal(does("cancel", task({ status: "pending" }), "deploy", model(), NOW).does, "The deployment of 123 never runs.");
  assert.equal(does("cancel", task({}, { step: "drain" }), "delete", model(), NOW).does, "The deletion of 123 ends, and the model serves as before.");
});

test("a completed deployment can be rolled back if it serves and an earlier revision is kept", () => {
  const done = task({ status: "completed" });
  const kept = [{ revision: 5, loaded: false }, { revision: 6, loaded: true }];
  assert.deepEqual(verbs(done, "deploy", model({ kept }), NOW), ["rollback"]);
  assert.equal(does("rollback", done, "deploy", model({ kept }), NOW).does, "All of 123's traffic goes from revision 7 back to revision 6, as a new rollout.");
  assert.deepEqual(verbs(done, "deploy", model(), NOW), []);
  assert.deepEqual(verbs(done, "deploy", model({ kept, task_ids: ["other"] }), NOW), []);
  assert.deepEqual(verbs(done, "deploy", model({ kept, blue: { revision: 8, model: "123__r8" } }), NOW), []);
  assert.deepEqual(verbs(done, "deploy", undefined, NOW), []);
});

test("what has failed can be retried", () => {
  for (const status of ["failed", "refused", "canceled"] as const) {
    assert.deepEqual(verbs(task({ status }), "deploy", model(), NOW), ["retry"]);
  }
  assert.equal(does("retry", task({ status: "failed" }), "delete", model(), NOW).type_name, true);
  assert.deepEqual(verbs(task({ status: "completed" }), "delete", undefined, NOW), []);
});
