import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, clock, count, duration, milliseconds, number, percent, plural, whole_seconds } from "../src/words/format";
import { judgements } from "../src/words/judgement";
import { plot_data } from "../src/words/plot_data";
import { counts, gate, NOW, series } from "./samples";

test("numbers have three digits that count", () => {
  assert.deepEqual([0, 0.005232, 1.005, 12.34, 123.4, 12345.6, NaN].map(number), ["0", "0.00523", "1", "12.3", "123", "12,346", "?"]);
  assert.equal(percent(0.0002), "0.02 %");
  assert.equal(milliseconds(27.96), "28 ms");
  assert.equal(count(1234567), "1,234,567");
  assert.equal(plural(1, "model"), "1 model");
  assert.equal(plural(1000, "model"), "1,000 models");
});

test("durations have one or two units", () => {
  assert.deepEqual([0, 350, 4112, 12000, 59600, 60000, 192000, 3600000, 7500000, 86400000, 90000000].map(duration),
    ["0 ms", "350 ms", "4.1 s", "12 s", "1 min", "1 min", "3 min 12 s", "1 h", "2 h 5 min", "1 d", "1 d 1 h"]);
  assert.equal(whole_seconds(18200), "19 s");
  assert.equal(whole_seconds(-5), "1 s");
});

test("times are said by the clock, or by what has passed", () => {
  assert.equal(clock(NOW, NOW), "12:00:00");
  assert.equal(clock(NOW - 86400000, NOW), "2026-11-23 12:00:00");
  assert.equal(ago(NOW - 500, NOW), "now");
  assert.equal(ago(NOW - 65000, NOW), "1 min ago");
});

test("each limit is judged by itself", () => {
  const found = judgements(gate({
    green: counts({ requests: 41, error_rate: 0.02, p99_ms: 28 }), blue: counts({ error_rate: 0.01, p99_ms: 20 }),
    limits: { min_requests: 50, max_error_rate: 0.01, max_p99_ms: 500, max_error_ratio_to_blue: 1.5, max_p99_ratio_to_blue: 2 },
    evidence: { max_error_rate: { decided: true } },
  }));
  assert.deepEqual(found, [
    { name: "requests", value: "41", limit: "at least 50", mark: "open" },
    { name: "failed", value: "2 %", limit: "at most 1 %", mark: "broken" },
    { name: "p99", value: "28 ms", limit: "at most 500 ms", mark: "kept" },
    { name: "failed, to blue", value: "2 ×", limit: "at most 1.5 ×", mark: "over" },
    { name: "p99, to blue", value: "1.4 ×", limit: "at most 2 ×", mark: "kept" },
  ]);
});

test("without requests, and without blue, nothing is judged", () => {
  const [share, ratio] = judgements(gate({ green: counts({ requests: 0 }), blue: counts({ requests: 0 }), limits: { max_error_rate: 0.01, max_p99_ratio_to_blue: 2 } }));
  assert.equal(share!.mark, "open");
  assert.deepEqual([ratio!.mark, ratio!.value], ["open", "?"]);
});

test("plots have the failures since the weight was set, and the least of the limits", () => {
  const data = plot_data(series({
    second: [1, 2, 3], weight: [5, 5, 25],
    blue: { requests: [10, 10, 10], failures: [1, 0, 0], client_errors: [0, 0, 0], p50_ms: [1, 1, 1], p99_ms: [10, null, 20] },
    green: { requests: [0, 4, 4], failures: [0, 1, 0], client_errors: [0, 0, 0], p50_ms: [null, 1, 1], p99_ms: [null, 30, 30] },
    limits: { max_error_rate: 0.08, max_error_ratio_to_blue: 1, max_p99_ms: 50, max_p99_ratio_to_blue: 3 },
  }));
  const from = Date.parse("2026-11-24T11:59:00Z") / 1000;
  assert.deepEqual(data.at, [from + 1, from + 2, from + 3]);
  assert.deepEqual(data.weight, [5, 5, 25]);
  assert.deepEqual(data.failed, { blue: [10, 5, 0], green: [null, 25, 0], limit: [8, 5, 0] });
  assert.deepEqual(data.p99, { blue: [10, null, 20], green: [null, 30, 30], limit: [30, 50, 50] });
});

test("a gap breaks the lines", () => {
  const slot = { requests: [1, 1], failures: [0, 0], client_errors: [0, 0], p50_ms: [1, 1], p99_ms: [1, 1] };
  const data = plot_data(series({ second: [1, 30], weight: [5, 5], blue: slot, green: slot }));
  assert.equal(data.at.length, 3);
  assert.deepEqual(data.weight, [5, null, 5]);
  assert.deepEqual(plot_data(series({ from: null })).at, []);
});
