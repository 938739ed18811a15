// One task: what it has come to, first; then its steps, its traffic and what the gate has counted.
import { useEffect, useRef, useState } from "preact/hooks";
import { is_final, type Counts, type Gate, type Kind, type Step, type Task } from "../api/documents";
import { useSeries, useTask } from "../state/use_task";
import { clock, count, duration, milliseconds, percent, plural, time_of, whole_seconds } from "../words/format";
import { MARK_WORDS, judgements, type Mark } from "../words/judgement";
import { adds_to_verdict, bad_reason, verdict_of, type Tone } from "../words/verdict";
import { link, useKnown, useLive, useNow } from "./context";
import { Loading, ProblemPanel, State, TaskLink, TaskState, WeightBar, When, what_of } from "./pieces";
import { Plots } from "./plots";
import { Verbs } from "./verbs";

const STEP_TONES: Record<Step["state"], Tone> = { done: "good", failed: "bad", running: "busy", pending: "idle", skipped: "idle" };

function StepItem({ step, now }: { step: Step; now: number }) {
  const began = time_of(step.started_at);
  const ended = time_of(step.ended_at);
  const took = began === null ? null : ended === null ? whole_seconds(now - began) : duration(ended - began);
  return (
    <li class={`step ${STEP_TONES[step.state]}`}>
      <strong>{step.name}</strong> <State tone={STEP_TONES[step.state]} words={step.state} />
      {took !== null && step.state !== "skipped" && <div>{took}{step.attempts > 1 && ` in ${plural(step.attempts, "attempt")}`}</div>}
      {began !== null && <div class="quiet">from <time dateTime={step.started_at!}>{clock(began, now)}</time></div>}
      {step.detail && <div class="says">{step.detail}</div>}
    </li>
  );
}

function CountsRow({ name, counts }: { name: string; counts: Counts }) {
  const share = counts.requests > 0 ? counts.client_errors / counts.requests : 0;
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="number">{count(counts.requests)}</td>
      <td class="number">{count(counts.failures)}</td>
      <td class="number">{percent(counts.error_rate)}</td>
      <td class="number">{percent(share)}</td>
      <td class="number">{milliseconds(counts.mean_ms)}</td>
      <td class="number">{milliseconds(counts.p99_ms)}</td>
    </tr>
  );
}

const MARK_TONES: Record<Mark, Tone> = { kept: "good", over: "waiting", broken: "bad", open: "idle" };

function GateView({ gate, revision }: { gate: Gate; revision: number | null | undefined }) {
  const found = judgements(gate);
  return (
    <section aria-labelledby="gate">
      <h2 id="gate">What the gate has counted at {gate.weight} %</h2>
      <p class={gate.verdict === "bad" ? "bad" : ""}>
        <State tone={gate.verdict === "good" ? "good" : gate.verdict === "bad" ? "bad" : "waiting"} words={gate.verdict} />: {gate.reason}
      </p>
      <div class="scrolls" role="region" aria-label="The counts of blue and green" tabIndex={0}>
        <table>
          <thead><tr>{["", "Requests", "Failed", "Share", "4xx", "Mean", "p99"].map((name) => <th key={name} scope="col">{name || <span class="hidden">Revision</span>}</th>)}</tr></thead>
          <tbody>
            {gate.blue && <CountsRow name="▬ blue" counts={gate.blue} />}
            <CountsRow name={`┅ green${revision ? ` (${revision})` : ""}`} counts={gate.green} />
          </tbody>
        </table>
      </div>
      {found.length > 0 && (
        <ul class="judgements">
          {found.map((one) => (
            <li key={one.name} class={one.mark === "broken" ? "bad" : ""}>
              <State tone={MARK_TONES[one.mark]} words={MARK_WORDS[one.mark]} />: {one.name} <strong>{one.value}</strong>, {one.limit}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const OLD_WORDS = { delete: "deleted", keep: "kept loaded", archive: "kept on disk" };

function PlanView({ task }: { task: Task }) {
  const { plan, traffic_weight } = task.metadata;
  if (!plan?.steps) {
    return null;
  }
  const last = plan.steps[plan.steps.length - 1];
  const watch_s = plan.watch_s ?? 0;
  const steps = plan.steps.map(({ weight, hold_s = 0 }) => (hold_s > 0 ? `${weight} % for ${duration(hold_s * 1000)}` : `${weight} %`));
  return (
    <section aria-labelledby="plan">
      <h2 id="plan">Traffic</h2>
      <WeightBar weight={traffic_weight ?? 0} has_green={(traffic_weight ?? 0) > 0} />
      <p>
        The plan: {steps.join(", ")}{last && last.weight < 100 ? ", then all" : ""}; {plan.promote === "manual" ? "a person promotes" : "promotes by itself"}
        {watch_s > 0 && `; watched for ${duration(watch_s * 1000)} after that`}; the old revision is {OLD_WORDS[plan.old ?? "delete"]}.
      </p>
      {(plan.warnings ?? []).map((warning) => <p key={warning} class="warning">⚠ {warning}</p>)}
    </section>
  );
}

function Relatives({ task }: { task: Task }) {
  const { tasks } = useKnown();
  const children = (tasks ?? []).filter((other) => other.parent_id === task.task_id);
  const parent = (tasks ?? []).find((other) => other.task_id === task.parent_id);
  return (
    <>
      {task.parent_id && (
        <span>made from {parent ? <TaskLink task={parent}>{what_of(parent)}</TaskLink> : <code>{task.parent_id}</code>}</span>
      )}
      {children.map((child) => (
        <span key={child.task_id}>followed by <TaskLink task={child}>{what_of(child)}</TaskLink></span>
      ))}
    </>
  );
}

function Origin({ task }: { task: Task }) {
  const now = useNow();
  const by = task.created_by;
  const created = time_of(task.created_at);
  return (
    <p class="quiet meta">
      <span>created {created !== null && <time dateTime={task.created_at}>{clock(created, now)}</time>}{by && ` by ${[by.user, by.certificate, by.address].filter(Boolean).join(", ")}`}</span>
      <span>changed <When at={task.updated_at} /></span>
      <Relatives task={task} />
      <code>{task.task_id}</code>
    </p>
  );
}

/// Says the end of the task to those who do not see it.
function Announcement({ task, sentence }: { task: Task; sentence: string }) {
  const was_open = useRef(!is_final(task.status));
  const [said, set_said] = useState("");
  useEffect(() => {
    if (was_open.current && is_final(task.status)) {
      set_said(sentence);
    }
    was_open.current ||= !is_final(task.status);
  }, [task.status]);
  return <p class="hidden" role="status" aria-live="polite">{said}</p>;
}

export function TaskView({ kind, task_id }: { kind: Kind; task_id: string }) {
  const live = useLive();
  const { models } = useKnown();
  const now = useNow();
  const { task, problem } = useTask(live.client, kind, task_id);
  const series = useSeries(live.client, task, kind);
  const url = live.client.url(`/${kind}/${task_id}`);
  useEffect(() => {
    document.title = task ? `${task.model_id}: ${task.status.replace("_", " ")} – Rollout` : "Rollout";
  }, [task]);
  if (task === null) {
    return problem ? <><h1>Task</h1><ProblemPanel problem={problem} what="The task" url={url} /></> : <Loading what="the task" />;
  }
  const listed = { ...task, kind };
  const verdict = verdict_of(task, kind, now);
  const why = bad_reason(task);
  const model = models?.find(({ model_id }) => model_id === task.model_id);
  const { metadata } = task;
  return (
    <article class="task">
      <h1>
        <a href={link("models", task.model_id)}>{task.model_id}</a>: {what_of(listed)}
      </h1>
      <section class={`verdict ${verdict.tone}`} aria-label="Verdict">
        <p><TaskState task={listed} /></p>
        <p class="sentence">{verdict.sentence}</p>
        {why && <p class="bad">The gate: {why}</p>}
        {adds_to_verdict(task) && <p class="quiet">{task.detail}</p>}
        {problem && problem.status !== 0 && <p class="bad" role="alert">{problem.detail}</p>}
        <Verbs task={task} kind={kind} model={model} />
        <Announcement key={task_id} task={task} sentence={verdict.sentence} />
      </section>
      <Origin task={task} />
      {metadata.steps && metadata.steps.length > 0 && (
        <section aria-labelledby="steps">
          <h2 id="steps">Steps</h2>
          <ol class="steps">{metadata.steps.map((step) => <StepItem key={step.name} step={step} now={now} />)}</ol>
        </section>
      )}
      {kind === "deploy" && <PlanView task={task} />}
      {series && series.second.length > 0 && <section aria-label="Plots"><Plots key={task_id} series={series} /></section>}
      {metadata.gate && <GateView gate={metadata.gate} revision={metadata.revision} />}
      {metadata.config !== undefined && (
        <details>
          <summary>{kind === "deploy" ? "Configuration" : "Parameters"}</summary>
          <pre tabIndex={0}>{JSON.stringify(metadata.config, null, 2)}</pre>
        </details>
      )}
    </article>
  );
}
