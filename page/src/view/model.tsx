// One model: what serves now, what can be gone back to, what was.
import { useEffect } from "preact/hooks";
import type { Model, Revision } from "../api/documents";
import { last_tasks } from "../state/live";
import { milliseconds, number, percent } from "../words/format";
import { state_tone, state_words } from "../words/model_words";
import { no_api } from "../words/problems";
import { verdict_of } from "../words/verdict";
import { useKnown, useLive, useNow } from "./context";
import { HistoryTable } from "./history";
import { Loading, Panel, ProblemPanel, State, TaskLink, TaskState, weight_of, what_of } from "./pieces";
import { Verbs } from "./verbs";

function RevisionItem({ name, revision }: { name: string; revision: Revision }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>
        revision {revision.revision}, <code>{revision.model}</code>
        {revision.upstream && <> at <code>{revision.upstream}</code></>}
        {revision.servers && <> on {revision.servers.length > 0 ? revision.servers.join(", ") : "no server"}</>}
      </dd>
    </>
  );
}

function Current({ model }: { model: Model }) {
  const rate = useLive().rate_of(model.model_id);
  return (
    <section aria-labelledby="now">
      <h2 id="now">Now</h2>
      <p><State tone={state_tone(model)} words={state_words(model.state)} />{model.detail && <>: {model.detail}</>}</p>
      <dl>
        {model.blue && <RevisionItem name="Serves (blue)" revision={model.blue} />}
        {model.green && <RevisionItem name="New (green)" revision={model.green} />}
        <dt>Traffic</dt>
        <dd>{weight_of(model)}</dd>
        {rate && (
          <>
            <dt>Requests</dt>
            <dd>{number(rate.per_second)}/s, {percent(rate.failed)} failed{rate.p99_ms !== null && <>, p99 {milliseconds(rate.p99_ms)}</>}</dd>
          </>
        )}
        <dt>Can be gone back to</dt>
        <dd>{model.kept.length === 0 ? "no revision is kept" : model.kept.map((kept) => `revision ${kept.revision}${kept.loaded ? " (loaded)" : ""}`).join(", ")}</dd>
      </dl>
    </section>
  );
}

function LastTask({ model_id, model }: { model_id: string; model: Model | undefined }) {
  const now = useNow();
  const task = last_tasks(useKnown().tasks ?? []).get(model_id);
  return task === undefined ? null : (
    <section aria-labelledby="last">
      <h2 id="last">Last task</h2>
      <p><TaskState task={task} /> <TaskLink task={task}>{what_of(task)}</TaskLink>: {verdict_of(task, task.kind, now).sentence}</p>
      <Verbs task={task} kind={task.kind} model={model} />
    </section>
  );
}

export function ModelView({ model_id }: { model_id: string }) {
  const live = useLive();
  const { models, models_problem, more_models } = useKnown();
  const model = models?.find((one) => one.model_id === model_id);
  const url = live.client.url("/models");
  useEffect(() => {
    document.title = `${model_id} – Rollout`;
  }, [model_id]);
  return (
    <>
      <h1>{model_id}</h1>
      {models === null && (models_problem === null ? <Loading what="the model" />
        : models_problem.status === 404 ? <Panel advice={no_api(url)} />
        : <ProblemPanel problem={models_problem} what="The model" url={url} />)}
      {models !== null && model === undefined && (
        <p>{more_models ? "This model is not among those that the page has read; its tasks are below." : "No model of this name is deployed."}</p>
      )}
      {model && <Current model={model} />}
      <LastTask model_id={model_id} model={model} />
      <section aria-labelledby="history">
        <h2 id="history">History</h2>
        <HistoryTable filter={{ model: model_id, status: "", kind: "" }} with_model={false} />
      </section>
    </>
  );
}
