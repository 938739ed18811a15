// What a model's state means, and which models need somebody's attention first.
import type { ListedTask, Model, ModelState } from "../api/documents";
import type { Tone } from "./verdict";

export const STATE_WORDS: Record<ModelState, string> = {
  deployed: "deployed",
  rolling_out: "rolling out",
  retiring: "retiring",
  lost: "lost by its server",
  reloading: "lost, loading again",
  unreachable: "server does not answer",
};

export function state_words(state: string): string {
  return STATE_WORDS[state as ModelState] ?? state;
}

export function state_tone(model: Model): Tone {
  switch (model.state) {
    case "deployed":
      return "good";
    case "rolling_out":
    case "retiring":
      return "busy";
    default:
      return "bad";
  }
}

/// 3: clients may notice. 2: it waits for a person, or its last task went wrong. 1: something is under way. 0: all is well.
export function urgency(model: Model, last: ListedTask | undefined): number {
  if (state_tone(model) === "bad") {
    return 3;
  }
  if (last?.status === "failed" || last?.status === "refused" || (last?.status === "in_progress" && last.metadata.waits_for === "person")) {
    return 2;
  }
  return state_tone(model) === "busy" || model.task_ids.length > 0 ? 1 : 0;
}

const by_name = new Intl.Collator("en", { numeric: true });

export function problems_first(models: Model[], last_of: (model_id: string) => ListedTask | undefined): Model[] {
  const ranked = models.map((model) => ({ model, rank: urgency(model, last_of(model.model_id)) }));
  ranked.sort((a, b) => b.rank - a.rank || by_name.compare(a.model.model_id, b.model.model_id));
  return ranked.map(({ model }) => model);
}
