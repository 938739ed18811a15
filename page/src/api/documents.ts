// The API's documents, as far as the page reads them: docs/api.md.

export type Kind = "deploy" | "delete";
export type Status = "pending" | "in_progress" | "completed" | "failed" | "refused" | "canceled";
export type Verb = "cancel" | "pause" | "resume" | "promote" | "retry" | "rollback";
export type WaitsFor = "time" | "requests" | "person" | "gateway" | "server" | "turn";

export interface Step {
  name: string;
  state: "pending" | "running" | "done" | "failed" | "skipped";
  attempts: number;
  started_at: string | null;
  ended_at: string | null;
  detail: string;
}

export interface Counts {
  requests: number;
  failures: number;
  client_errors: number;
  error_rate: number;
  p99_ms: number;
  mean_ms: number;
}

export interface Limits {
  min_requests?: number;
  max_error_rate?: number;
  max_p99_ms?: number;
  max_mean_ms?: number;
  max_error_ratio_to_blue?: number;
  max_p99_ratio_to_blue?: number;
  max_mean_ratio_to_blue?: number;
}

export interface Gate {
  weight: number;
  verdict: string;
  reason: string;
  green: Counts;
  blue?: Counts;
  limits: Limits;
  evidence?: Record<string, { decided: boolean }>;
}

export interface Plan {
  steps?: { weight: number; hold_s?: number }[];
  promote?: "auto" | "manual";
  watch_s?: number;
  old?: "delete" | "archive" | "keep";
  gate?: Limits | null;
  warnings?: string[];
}

export interface Metadata {
  revision?: number | null;
  step?: string | null;
  progress?: number;
  traffic_weight?: number;
  elapsed_ms?: number;
  waits_for?: WaitsFor;
  hold_ends_at?: string;
  paused?: boolean;
  cancel_asked?: boolean;
  plan?: Plan;
  gate?: Gate;
  steps?: Step[];
  config?: unknown;
}

export interface Task {
  task_id: string;
  model_id: string;
  parent_id?: string | null;
  status: Status;
  created_by?: { address?: string; user?: string; certificate?: string };
  detail: string;
  created_at: string;
  updated_at: string;
  metadata: Metadata;
}

/// A task as it stands in lists: its kind is that of the list.
export interface ListedTask extends Task {
  kind: Kind;
}

export interface Revision {
  revision: number;
  model: string;
  upstream?: string;
  servers?: string[];
}

export interface KeptRevision {
  revision: number;
  loaded: boolean;
}

export type ModelState = "deployed" | "rolling_out" | "retiring" | "lost" | "reloading" | "unreachable";

export interface Model {
  model_id: string;
  state: ModelState;
  detail?: string;
  blue: Revision | null;
  green: Revision | null;
  weight: number;
  kept: KeptRevision[];
  task_ids: string[];
}

/// What the gate has seen, point by point: one element of each array.
export interface SlotSeries {
  requests: number[];
  failures: number[];
  client_errors: number[];
  p50_ms: (number | null)[];
  p99_ms: (number | null)[];
}

export interface SeriesMark {
  at: string;
  what: "weight" | "pause" | "resume" | "promote" | "cancel" | "verdict" | "promoted" | "end";
  detail: string;
}

export interface Series {
  from: string | null;
  period_s: number;
  second: number[];
  weight: number[];
  blue: SlotSeries;
  green: SlotSeries;
  limits: Limits | null;
  marks: SeriesMark[];
}

export interface Problem {
  status: number; ///< 0 if there was no answer
  title: string;
  detail: string;
}

export const VERB_NAMES: readonly Verb[] = ["promote", "pause", "resume", "cancel", "rollback", "retry"];

const EMBEDDING_STUDIO: Record<string, Status> = { processing: "in_progress", done: "completed" };

/// A location with dialect=embedding_studio has other words for two of the states.
export function with_own_words<T extends { status: Status }>(task: T): T {
  const status = EMBEDDING_STUDIO[task.status];
  return status === undefined ? task : { ...task, status };
}

export function is_final(status: Status): boolean {
  return status !== "pending" && status !== "in_progress";
}
