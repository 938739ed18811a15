// One sentence about a task: what it has come to and why, or what it is doing and what it waits for.
import type { Kind, ListedTask, Task } from "../api/documents";
import { is_final } from "../api/documents";
import { count, duration, percent, time_of, whole_seconds } from "./format";

export type Tone = "good" | "bad" | "busy" | "waiting" | "idle";

export interface Verdict {
  tone: Tone;
  sentence: string;
}

export function subject_of(task: Task, kind: Kind): string {
  if (kind === "delete") {
    return "The deletion";
  }
  return task.metadata.revision ? `Revision ${task.metadata.revision}` : "The deployment";
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return trimmed === "" || /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

function rest_of_hold(task: Task, now: number): number | null {
  const ends = time_of(task.metadata.hold_ends_at);
  return ends === null ? null : ends - now;
}

/// The reason that the gate gives, if it has found the new revision bad.
export function bad_reason(task: Task): string | null {
  const gate = task.metadata.gate;
  return gate && gate.verdict === "bad" ? sentence(gate.reason) : null;
}

function took(task: Task): string {
  const ms = task.metadata.elapsed_ms;
  return ms === undefined ? "" : ` It took ${duration(ms)}.`;
}

function ended(task: Task, kind: Kind): Verdict {
  const subject = subject_of(task, kind);
  switch (task.status) {
    case "completed":
      return kind === "delete"
        ? { tone: "good", sentence: `Model ${task.model_id} is deleted.${took(task)}` }
        : { tone: "good", sentence: `${subject} serves all traffic of model ${task.model_id}.${took(task)}` };
    case "failed":
      return { tone: "bad", sentence: `${subject} failed: ${sentence(task.detail)}` };
    case "refused":
      return { tone: "bad", sentence: `Refused: ${sentence(task.detail)}` };
    default:
      return { tone: "idle", sentence: `Canceled: ${sentence(task.detail)}` };
  }
}

function share_of(task: Task): string {
  return `${subject_of(task, "deploy")} has ${percent((task.metadata.traffic_weight ?? 0) / 100)} of the traffic`;
}

function held(task: Task, now: number): Verdict {
  const share = share_of(task);
  const rest = rest_of_hold(task, now);
  const { gate } = task.metadata;
  switch (task.metadata.waits_for) {
    case "requests": {
      const least = gate?.limits.min_requests;
      return least !== undefined && gate !== undefined && gate.green.requests < least
        ? { tone: "waiting", sentence: `${share}; ${count(gate.green.requests)} of ${count(least)} requests are in, and the hold lasts until all are.` }
        : { tone: "waiting", sentence: `${share} and waits for more requests.` };
    }
    case "person":
      return task.metadata.paused
        ? { tone: "waiting", sentence: `${share} and is paused; resume it to go on.` }
        : { tone: "waiting", sentence: `${share} and waits for you: promote it to go on.` };
    default:
      return rest !== null && rest > 0
        ? { tone: "busy", sentence: `${share} for another ${whole_seconds(rest)} at the least.` }
        : { tone: "busy", sentence: `${share}.` };
  }
}

const WAITS: Record<string, string> = {
  turn: "waits for its turn, until other tasks are through",
  gateway: "waits for a gateway to confirm the route, or to connect",
  server: "waits for the inference server",
  requests: "waits for requests that are in flight",
  person: "waits for you",
  time: "waits for its next attempt",
};

function under_way(task: Task, kind: Kind, now: number): Verdict {
  const { step, steps, waits_for, traffic_weight } = task.metadata;
  const subject = subject_of(task, kind);
  if (task.metadata.cancel_asked || step === "rollback") {
    return { tone: "bad", sentence: `${subject} is being taken back: ${sentence(task.detail)}` };
  }
  if (step === "shift" && traffic_weight && waits_for !== "gateway" && waits_for !== "turn") {
    return held(task, now);
  }
  if (waits_for !== undefined) {
    return { tone: "waiting", sentence: `${subject} ${WAITS[waits_for] ?? "waits"}${step ? `, in step ${step}` : ""}.` };
  }
  const began = time_of(steps?.find((one) => one.name === step)?.started_at);
  const since = began === null || now - began < 1000 ? "" : ` for ${duration(Math.floor((now - began) / 1000) * 1000)}`;
  return step
    ? { tone: "busy", sentence: `${subject} is in step ${step}${since}.` }
    : { tone: "busy", sentence: sentence(task.detail) || `${subject} is under way.` };
}

export function verdict_of(task: Task, kind: Kind, now: number): Verdict {
  if (is_final(task.status)) {
    return ended(task, kind);
  }
  if (task.status === "pending") {
    return { tone: "idle", sentence: `${subject_of(task, kind)} waits for its turn.` };
  }
  return under_way(task, kind, now);
}

/// Whether the task's own detail says more than the verdict does.
export function adds_to_verdict(task: Task): boolean {
  return !is_final(task.status) && task.detail !== "" && task.metadata.waits_for !== "time" && !(task.metadata.waits_for === undefined && task.metadata.step !== undefined && / is running\.$/.test(task.detail));
}

/// The status as lists have it: one or two words.
export function status_words(task: ListedTask): string {
  if (task.status === "in_progress") {
    if (task.metadata.cancel_asked) {
      return "canceling";
    }
    if (task.metadata.paused) {
      return "paused";
    }
    return task.metadata.waits_for === "person" ? "waits for you" : "in progress";
  }
  return task.status;
}

export function status_tone(task: ListedTask): Tone {
  switch (task.status) {
    case "completed":
      return "good";
    case "failed":
    case "refused":
      return "bad";
    case "in_progress":
      return task.metadata.waits_for === "person" ? "waiting" : "busy";
    default:
      return "idle";
  }
}
