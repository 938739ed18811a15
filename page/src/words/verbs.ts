// Which verbs the API would take for a task as it is, and what each of them will do.
import type { Kind, Model, Task, Verb } from "../api/documents";
import { is_final } from "../api/documents";

export interface Offer {
  verb: Verb;
  label: string;
  does: string; ///< what happens if the person agrees
  type_name: boolean; ///< the model's name must be typed
  harms: boolean;
}

function kept_revisions(model: Model | undefined): number[] {
  return (model?.kept ?? []).map((kept) => kept.revision);
}

function next_weight(task: Task): number | null {
  const { plan, traffic_weight } = task.metadata;
  const next = plan?.steps?.find((step) => step.weight > (traffic_weight ?? 0));
  return next ? next.weight : null;
}

function promote(task: Task, now: number): Offer {
  const { revision, waits_for, hold_ends_at, traffic_weight } = task.metadata;
  const to = next_weight(task);
  const goes = to === null || to === 100
    ? `All of ${task.model_id}'s traffic goes to revision ${revision}.`
    : `Revision ${revision} gets ${to} % of ${task.model_id}'s traffic.`;
  const early = waits_for !== "person" || (hold_ends_at !== undefined && Date.parse(hold_ends_at) > now);
  return {
    verb: "promote",
    label: "Promote",
    does: early ? `The hold at ${traffic_weight} % ends before its time. ${goes}` : goes,
    type_name: early,
    harms: early,
  };
}

function cancel(task: Task, kind: Kind): Offer {
  const { revision, traffic_weight } = task.metadata;
  const does = task.status === "pending"
    ? `The ${kind === "deploy" ? "deployment" : "deletion"} of ${task.model_id} never runs.`
    : kind === "delete"
      ? `The deletion of ${task.model_id} ends, and the model serves as before.`
      : traffic_weight
        ? `All of ${task.model_id}'s traffic goes back to the revision that served before, and revision ${revision} is removed.`
        : `The deployment of ${task.model_id} ends, and revision ${revision ?? ""} is removed.`.replace("revision  ", "what it made ");
  return { verb: "cancel", label: "Cancel", does, type_name: true, harms: true };
}

function shift_is_on(task: Task): boolean {
  return task.metadata.step === "shift" && (task.metadata.traffic_weight ?? 0) > 0;
}

/// The steps that a cancel cannot undo any more.
const BEYOND_RETURN = new Set(["promote", "retire", "unload", "remove"]);

function of_running(task: Task, kind: Kind, now: number): Offer[] {
  const { revision, step, paused, cancel_asked, traffic_weight } = task.metadata;
  if (cancel_asked || step === "rollback") {
    return [];
  }
  const offers: Offer[] = [];
  if (kind === "deploy" && shift_is_on(task)) {
    offers.push(promote(task, now));
    offers.push(
      paused
        ? { verb: "resume", label: "Resume", does: `The rollout of revision ${revision} goes on from ${traffic_weight} %.`, type_name: false, harms: false }
        : { verb: "pause", label: "Pause", does: `Revision ${revision} keeps ${traffic_weight} % of ${task.model_id}'s traffic until somebody resumes the rollout.`, type_name: false, harms: false },
    );
  }
  if (!BEYOND_RETURN.has(step ?? "")) {
    offers.push(cancel(task, kind));
  }
  return offers;
}

function of_ended(task: Task, kind: Kind, model: Model | undefined): Offer[] {
  const { revision } = task.metadata;
  const earlier = Math.max(...kept_revisions(model), 0);
  if (kind === "deploy" && task.status === "completed") {
    const can = model !== undefined && model.blue?.revision === revision && earlier > 0 && model.task_ids.length === 0;
    return can
      ? [{
          verb: "rollback",
          label: "Roll back",
          does: `All of ${task.model_id}'s traffic goes from revision ${revision} back to revision ${earlier}, as a new rollout.`,
          type_name: true,
          harms: true,
        }]
      : [];
  }
  if (task.status === "completed") {
    return [];
  }
  const does = kind === "deploy"
    ? `${task.model_id} is deployed again, with the same source and settings, as a new task.`
    : `${task.model_id} is deleted, as a new task: its traffic ends, and it is unloaded and removed.`;
  return [{ verb: "retry", label: "Retry", does, type_name: kind === "delete", harms: kind === "delete" }];
}

export function offers_of(task: Task, kind: Kind, model: Model | undefined, now: number): Offer[] {
  if (is_final(task.status)) {
    return of_ended(task, kind, model);
  }
  return task.status === "pending" ? [cancel(task, kind)] : of_running(task, kind, now);
}
