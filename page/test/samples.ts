// Documents as the API has them, with what a test is about.
import type { Counts, Gate, ListedTask, Metadata, Model, Series, Task } from "../src/api/documents";

export const NOW = Date.parse("2026-11-24T12:00:00Z");

export function task(what: Partial<Task> = {}, metadata: Metadata = {}): ListedTask {
  return {
    task_id: "t1", model_id: "123", status: "in_progress", detail: "", created_at: "2026-11-24T11:59:00.000000Z",
    updated_at: "2026-11-24T11:59:30.000000Z", kind: "deploy", ...what, metadata: { revision: 7, step: "shift", traffic_weight: 25, ...metadata },
  };
}

export function counts(what: Partial<Counts> = {}): Counts {
  return { requests: 1000, failures: 0, client_errors: 0, error_rate: 0, p99_ms: 20, mean_ms: 5, ...what };
}

export function gate(what: Partial<Gate> = {}): Gate {
  return { weight: 25, verdict: "undecided", reason: "", green: counts(), blue: counts(), limits: {}, ...what };
}

export function model(what: Partial<Model> = {}): Model {
  const revision = { revision: 7, model: "123__r7" };
  return { model_id: "123", state: "deployed", blue: revision, green: null, weight: 0, kept: [], task_ids: [], ...what };
}

export function series(what: Partial<Series> = {}): Series {
  const slot = { requests: [], failures: [], client_errors: [], p50_ms: [], p99_ms: [] };
  return { from: "2026-11-24T11:59:00Z", period_s: 1, second: [], weight: [], blue: slot, green: slot, limits: null, marks: [], ...what };
}
