// Tasks that were: of a model, or of all, with filters in the address.
import { useEffect, useState } from "preact/hooks";
import type { Kind, ListedTask, Problem } from "../api/documents";
import { merged } from "../state/live";
import { duration } from "../words/format";
import { link, replace_query, useKnown, useLive, usePlace } from "./context";
import { Loading, ProblemPanel, TaskLink, TaskState, When, what_of } from "./pieces";
import { DRAW_ALL, Rows } from "./rows";

const PAGE = "100";
const KINDS: Kind[] = ["deploy", "delete"];
const STATUSES = ["pending", "in_progress", "completed", "failed", "refused", "canceled"];

export interface Filter {
  model: string;
  status: string;
  kind: string;
}

interface Page {
  tasks: ListedTask[];
  tokens: Partial<Record<Kind, string>>; ///< where the next page begins
}

/// Of two lists, only what is newer than the end of each that goes on is complete.
export function complete_part({ tasks, tokens }: Page): ListedTask[] {
  const ends = KINDS.filter((kind) => tokens[kind]).map((kind) => tasks.filter((task) => task.kind === kind).at(-1)?.created_at ?? "");
  const end = ends.reduce((latest, one) => (one > latest ? one : latest), "");
  return tasks.filter((task) => task.created_at >= end);
}

function query_of(filter: Filter, token?: string): Record<string, string> {
  return {
    limit: PAGE,
    ...(filter.model ? { model_id: filter.model } : {}),
    ...(filter.status ? { status: filter.status } : {}),
    ...(token ? { page_token: token } : {}),
  };
}

export function useHistory(filter: Filter) {
  const live = useLive();
  const known = useKnown();
  const [page, set_page] = useState<Page | null>(null);
  const [problem, set_problem] = useState<Problem | null>(null);
  const { model, status, kind } = filter;

  const read = async (tokens: Page["tokens"] | null, signal: AbortSignal) => {
    const kinds = KINDS.filter((one) => (!kind || kind === one) && (tokens === null || tokens[one]));
    const answers = await Promise.all(kinds.map((one) => live.client.tasks(one, query_of(filter, tokens?.[one]), signal)));
    if (signal.aborted) {
      return;
    }
    const wrong = answers.find((answer) => answer.problem);
    if (wrong?.problem) {
      set_problem(wrong.problem);
      return;
    }
    const next: Page["tokens"] = {};
    answers.forEach((answer, i) => {
      const token = answer.value!.next_page_token;
      if (token) next[kinds[i]!] = token;
    });
    const lists = answers.map((answer) => answer.value!.tasks);
    set_problem(null);
    set_page((before) => ({ tasks: merged(tokens === null || !before ? lists : [before.tasks, ...lists]), tokens: next }));
  };

  useEffect(() => {
    const leaving = new AbortController();
    set_page(null);
    void read(null, leaving.signal);
    return () => leaving.abort();
  }, [model, status, kind]);

  // Newer states of what is shown, and new tasks, as the page learns of them.
  const current = (known.tasks ?? []).filter((task) => (!model || task.model_id === model) && (!kind || task.kind === kind));
  const shown = page && merged([complete_part(page), current]).filter((task) => !status || task.status === status);
  const more = page && Object.keys(page.tokens).length > 0 ? () => void read(page.tokens, new AbortController().signal) : null;
  return { tasks: shown, problem, more };
}

function time_taken(task: ListedTask): string {
  const ms = task.metadata.elapsed_ms;
  return ms === undefined || task.status === "pending" ? "–" : duration(ms);
}

export function HistoryTable({ filter, with_model }: { filter: Filter; with_model: boolean }) {
  const live = useLive();
  const { tasks, problem, more } = useHistory(filter);
  if (problem) {
    return <ProblemPanel problem={problem} what="The tasks" url={live.client.url("/deploy")} />;
  }
  if (tasks === null) {
    return <Loading what="the tasks" />;
  }
  if (tasks.length === 0) {
    return <p>There is no such task.</p>;
  }
  const columns = ["Created", ...(with_model ? ["Model"] : []), "Task", "Status", "Took", "By", "Detail"];
  return (
    <>
      <table class={`tasks cards${tasks.length > DRAW_ALL ? " many" : ""}`} aria-rowcount={tasks.length + 1}>
        <thead><tr aria-rowindex={1}>{columns.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
        <Rows items={tasks} key_of={(task) => task.task_id} columns={columns.length}>
          {(task) => (
            <>
              <td data-name="Created"><When at={task.created_at} /></td>
              {with_model && <td data-name="Model"><a href={link("models", task.model_id)}>{task.model_id}</a></td>}
              <th scope="row"><TaskLink task={task}>{what_of(task)}</TaskLink></th>
              <td data-name="Status"><TaskState task={task} /></td>
              <td data-name="Took" class="number">{time_taken(task)}</td>
              <td data-name="By">{task.created_by?.user ?? task.created_by?.certificate ?? task.created_by?.address ?? "–"}</td>
              <td data-name="Detail" class="detail" title={task.detail}>{task.detail}</td>
            </>
          )}
        </Rows>
      </table>
      {more && <button type="button" onClick={more}>Show older tasks</button>}
    </>
  );
}

export function HistoryView() {
  const place = usePlace();
  const value = (name: string) => place.query.get(name) ?? "";
  const filter: Filter = { model: value("model"), status: value("status"), kind: value("kind") };
  const choose = (name: string, label: string, options: string[]) => (
    <label>
      {label}{" "}
      <select value={value(name)} onChange={(event) => replace_query(place, { [name]: event.currentTarget.value })}>
        <option value="">all</option>
        {options.map((option) => <option key={option} value={option}>{option.replace("_", " ")}</option>)}
      </select>
    </label>
  );
  return (
    <>
      <h1>History</h1>
      <div class="tools">
        <label>Model <input type="search" value={filter.model} onChange={(event) => replace_query(place, { model: event.currentTarget.value.trim() })} /></label>
        {choose("status", "Status", STATUSES)}
        {choose("kind", "Kind", KINDS)}
      </div>
      <HistoryTable filter={filter} with_model />
    </>
  );
}
