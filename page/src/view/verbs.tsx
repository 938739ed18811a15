// The buttons of a task: each asks first, says what will happen, and waits for the gateway's answer.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Kind, Model, Problem, Task } from "../api/documents";
import { offers_of, type Offer } from "../words/verbs";
import { link, useLive, useNow } from "./context";

/// A random id, also where the page is not served over TLS.
function new_key(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function words_for(problem: Problem): string {
  return problem.status === 0
    ? "The gateway did not answer, so it is not known whether it has taken this. Send it again; it takes effect once."
    : problem.detail;
}

function Consent({ task, kind, offer, close }: { task: Task; kind: Kind; offer: Offer; close: () => void }) {
  const live = useLive();
  const dialog = useRef<HTMLDialogElement>(null);
  const [key] = useState(new_key);
  const [typed, set_typed] = useState("");
  const [asking, set_asking] = useState(false);
  const [problem, set_problem] = useState<Problem | null>(null);
  useEffect(() => dialog.current!.showModal(), []);
  const agreed = !offer.type_name || typed === task.model_id;

  const send = async (event: Event) => {
    event.preventDefault();
    if (!agreed || asking) {
      return;
    }
    set_asking(true);
    set_problem(null);
    const answer = await live.client.steer(kind, task.task_id, offer.verb, key);
    set_asking(false);
    if (answer.problem) {
      set_problem(answer.problem);
      return;
    }
    live.refresh_soon();
    dialog.current?.close();
    if (answer.value.task_id !== task.task_id) {
      location.hash = link(kind, answer.value.task_id);
    }
  };

  return (
    <dialog ref={dialog} aria-labelledby="consent-title" aria-describedby="consent-text" onClose={close}>
      <form method="dialog" onSubmit={send}>
        <h2 id="consent-title">{offer.label}: {task.model_id}</h2>
        <p id="consent-text">{offer.does}</p>
        {offer.type_name && (
          <label class="typed">
            To agree, type the model's name: <strong>{task.model_id}</strong>
            <input type="text" value={typed} autocomplete="off" spellcheck={false} onInput={(event) => set_typed(event.currentTarget.value)} />
          </label>
        )}
        {problem && <p class="bad" role="alert">{words_for(problem)}</p>}
        <div class="buttons">
          <button type="submit" class={offer.harms ? "harms" : "primary"} disabled={!agreed || asking} aria-busy={asking}>
            {asking ? "Waiting for the answer …" : problem?.status === 0 ? "Send again" : offer.label}
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>Do nothing</button>
        </div>
      </form>
    </dialog>
  );
}

export function Verbs({ task, kind, model }: { task: Task; kind: Kind; model: Model | undefined }) {
  const live = useLive();
  const now = useNow();
  const [chosen, set_chosen] = useState<Offer | null>(null);
  if (!live.client.settings.write) {
    return null;
  }
  const offers = offers_of(task, kind, model, now);
  return (
    <div class="buttons" role="group" aria-label="What can be done">
      {offers.map((offer) => (
        <button key={offer.verb} type="button" class={offer.harms ? "harms" : ""} onClick={() => set_chosen(offer)}>{offer.label}…</button>
      ))}
      {chosen && <Consent key={chosen.verb} task={task} kind={kind} offer={chosen} close={() => set_chosen(null)} />}
    </div>
  );
}
