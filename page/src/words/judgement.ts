// What the gate measures against each of its limits, as the document of a task has it.
import type { Counts, Gate, Limits } from "../api/documents";
import { count, milliseconds, number, percent } from "./format";

export type Mark = "kept" | "over" | "broken" | "open";

export interface Judgement {
  name: string; ///< what is measured
  value: string;
  limit: string;
  mark: Mark; ///< `over`: over the limit, but not enough of it to decide; `open`: too little is known
}

export const MARK_WORDS: Record<Mark, string> = {
  kept: "within the limit",
  over: "over the limit, not decided yet",
  broken: "over the limit",
  open: "not enough yet",
};

type Measure = { name: string; of: (counts: Counts) => number; text: (value: number) => string };

const SHARE: Measure = { name: "failed", of: (counts) => counts.error_rate, text: percent };
const P99: Measure = { name: "p99", of: (counts) => counts.p99_ms, text: milliseconds };
const MEAN: Measure = { name: "mean", of: (counts) => counts.mean_ms, text: milliseconds };

const LIMITS: { limit: keyof Limits; measure: Measure; to_blue: boolean }[] = [
  { limit: "max_error_rate", measure: SHARE, to_blue: false },
  { limit: "max_p99_ms", measure: P99, to_blue: false },
  { limit: "max_mean_ms", measure: MEAN, to_blue: false },
  { limit: "max_error_ratio_to_blue", measure: SHARE, to_blue: true },
  { limit: "max_p99_ratio_to_blue", measure: P99, to_blue: true },
  { limit: "max_mean_ratio_to_blue", measure: MEAN, to_blue: true },
];

function judge(gate: Gate, { limit, measure, to_blue }: (typeof LIMITS)[number]): Judgement | null {
  const most = gate.limits[limit];
  if (most === undefined) {
    return null;
  }
  const green = measure.of(gate.green);
  const blue = gate.blue && gate.blue.requests > 0 ? measure.of(gate.blue) : 0;
  const value = to_blue ? (blue > 0 ? green / blue : null) : green;
  const decided = gate.evidence?.[limit]?.decided === true;
  const mark: Mark = decided ? "broken" : gate.green.requests === 0 || value === null ? "open" : value > most ? "over" : "kept";
  return {
    name: to_blue ? `${measure.name}, to blue` : measure.name,
    value: value === null ? "?" : to_blue ? `${number(value)} ×` : measure.text(value),
    limit: to_blue ? `at most ${number(most)} ×` : `at most ${measure.text(most)}`,
    mark,
  };
}

export function judgements(gate: Gate): Judgement[] {
  const found: Judgement[] = [];
  const least = gate.limits.min_requests;
  if (least !== undefined) {
    found.push({
      name: "requests",
      value: count(gate.green.requests),
      limit: `at least ${count(least)}`,
      mark: gate.green.requests >= least ? "kept" : "open",
    });
  }
  return found.concat(LIMITS.map((one) => judge(gate, one)).filter((one): one is Judgement => one !== null));
}
