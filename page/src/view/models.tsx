// All models: what is under way and what waits on top, then the list, problems first.
import { useMemo } from "preact/hooks";
import type { ListedTask, Model } from "../api/documents";
import { MOST_MODELS, last_tasks, queued, under_way } from "../state/live";
import { count, milliseconds, number, percent, plural } from "../words/format";
import { problems_first, state_tone, state_words, urgency } from "../words/model_words";
import { advice_for, no_api } from "../words/problems";
import { verdict_of } from "../words/verdict";
import { link, replace_query, useKnown, useLive, useNow, usePlace } from "./context";
import { Loading, Panel, ProblemPanel, State, TaskLink, TaskState, WeightBar, When, weight_of, what_of } from "./pieces";
import { DRAW_ALL, Rows } from "./rows";

const COLUMNS = ["Model", "State", "Serves", "New", "Traffic", "Requests", "Failed", "p99", "Last task"];
const MOST_QUEUED = 20;
const TOLD_ELSEWHERE = [0, 404, 503]; // no gateway, no API, no rolloutd

function UnderWay({ task }: { task: ListedTask }) {
  const now = useNow();
  const weight = task.metadata.traffic_weight ?? 0;
  return (
    <li>
      <TaskState task={task} /> <a href={link("models", task.model_id)}>{task.model_id}</a>{" "}
      <TaskLink task={task}>{what_of(task)}</TaskLink>
      {task.kind === "deploy" && <WeightBar weight={weight} has_green={weight > 0} />}
      <span class="says">{verdict_of(task, task.kind, now).sentence}</span>
    </li>
  );
}

function Work({ tasks }: { tasks: ListedTask[] }) {
  const running = under_way(tasks);
  const waiting = queued(tasks);
  return (
    <>
      {running.length > 0 && (
        <section aria-labelledby="under-way">
          <h2 id="under-way">Under way</h2>
          <ul class="work">{running.map((task) => <UnderWay key={task.task_id} task={task} />)}</ul>
        </section>
      )}
      {waiting.length > 0 && (
        <section aria-labelledby="queue">
          <h2 id="queue">Waiting for their turn</h2>
          <ol class="work">
            {waiting.slice(0, MOST_QUEUED).map((task) => (
              <li key={task.task_id}>
                <a href={link("models", task.model_id)}>{task.model_id}</a> <TaskLink task={task}>{what_of(task)}</TaskLink>{" "}
                <span class="quiet"><When at={task.created_at} /></span>
              </li>
            ))}
          </ol>
          {waiting.length > MOST_QUEUED && <p>and {count(waiting.length - MOST_QUEUED)} more, at the least: <a href="#/history?status=pending">all of them</a></p>}
        </section>
      )}
    </>
  );
}

function ModelCells({ model, last }: { model: Model; last: ListedTask | undefined }) {
  const rate = useLive().rate_of(model.model_id);
  const none = (is_none: boolean) => (is_none ? " none" : ""); // a narrow screen leaves these out
  return (
    <>
      <th scope="row"><a href={link("models", model.model_id)}>{model.model_id}</a></th>
      <td data-name="State"><State tone={state_tone(model)} words={state_words(model.state)} /></td>
      <td data-name="Serves">{model.blue ? `revision ${model.blue.revision}` : "–"}</td>
      <td data-name="New" class={none(!model.green)}>{model.green ? `revision ${model.green.revision}` : "–"}</td>
      <td data-name="Traffic">{weight_of(model)}</td>
      <td data-name="Requests" class={`number${none(!rate)}`}>{rate ? `${number(rate.per_second)}/s` : "–"}</td>
      <td data-name="Failed" class={`number${none(!rate)}`}>{rate ? percent(rate.failed) : "–"}</td>
      <td data-name="p99" class={`number${none(rate?.p99_ms == null)}`}>{rate?.p99_ms != null ? milliseconds(rate.p99_ms) : "–"}</td>
      <td data-name="Last task" class={none(!last)}>
        {last ? <TaskLink task={last}><TaskState task={last} /></TaskLink> : "–"} {last && <span class="quiet"><When at={last.updated_at} /></span>}
      </td>
    </>
  );
}

function fits(model: Model, filter: string): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${model.model_id} ${state_words(model.state)}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

export function ModelsView() {
  const live = useLive();
  const { models, more_models, models_problem, tasks } = useKnown();
  const place = usePlace();
  const filter = place.query.get("filter") ?? "";
  const only_problems = place.query.get("problems") === "1";
  const last = useMemo(() => last_tasks(tasks ?? []), [tasks]);
  const last_of = (id: string) => last.get(id);
  const shown = useMemo(
    () => problems_first((models ?? []).filter((one) => fits(one, filter) && (!only_problems || urgency(one, last_of(one.model_id)) >= 2)), last_of),
    [models, filter, only_problems, last],
  );
  const url = live.client.url("/models");
  const has_problems = (models ?? []).filter((one) => urgency(one, last_of(one.model_id)) >= 2).length;

  return (
    <>
      <h1>Models</h1>
      {models_problem && (models_problem.status === 404 ? <Panel advice={no_api(url)} /> : models === null && <ProblemPanel problem={models_problem} what="The list of models" url={url} />)}
      {models_problem && models !== null && TOLD_ELSEWHERE.every((status) => status !== models_problem.status) && (
        <p class="banner waiting" role="alert">{advice_for(models_problem, "The list of models", url).title}. The list below may be old; the page goes on trying.</p>
      )}
      {tasks && <Work tasks={tasks} />}
      {models === null && !models_problem && <Loading what="the models" />}
      {models !== null && models.length === 0 && (
        <section class="panel">
          <h2>No model is deployed</h2>
          <p>Post one to the gateway, and it is shown here:</p>
          <pre>{`curl -H 'Content-Type: application/json' -d '{"model_id": "123"}' ${location.origin}${live.client.url("/deploy")}`}</pre>
        </section>
      )}
      {models !== null && models.length > 0 && (
        <section aria-labelledby="all">
          <div class="tools">
            <h2 id="all">
              {plural(models.length, "model")}
              {more_models && `, the first ${count(MOST_MODELS)}`}
              {has_problems > 0 && `, ${count(has_problems)} with a problem`}
            </h2>
            <label>Filter <input type="search" value={filter} onInput={(event) => replace_query(place, { filter: event.currentTarget.value })} /></label>
            <label><input type="checkbox" checked={only_problems} onChange={(event) => replace_query(place, { problems: event.currentTarget.checked ? "1" : "" })} /> problems only</label>
          </div>
          {more_models && <p>There are more than {count(MOST_MODELS)} models. The rest is not shown; the address of a model is <code>#/models/NAME</code>.</p>}
          {shown.length === 0 && <p>No model fits the filter.</p>}
          {shown.length > 0 && (
            <table class={`models cards${shown.length > DRAW_ALL ? " many" : ""}`} aria-rowcount={shown.length + 1}>
              <thead><tr aria-rowindex={1}>{COLUMNS.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
              <Rows items={shown} key_of={(model) => model.model_id} columns={COLUMNS.length}>
                {(model) => <ModelCells model={model} last={last_of(model.model_id)} />}
              </Rows>
            </table>
          )}
        </section>
      )}
    </>
  );
}
