// Small parts that several views share.
import type { ComponentChildren } from "preact";
import type { ListedTask, Model, Problem } from "../api/documents";
import { advice_for, type Advice } from "../words/problems";
import { ago, clock, time_of } from "../words/format";
import { status_tone, status_words, type Tone } from "../words/verdict";
import { link, useNow } from "./context";

const SIGNS: Record<Tone, string> = { good: "✔", bad: "✘", busy: "▶", waiting: "◔", idle: "○" };

/// A state: a sign and a word, so that colour never says it alone.
export function State({ tone, words }: { tone: Tone; words: string }) {
  return (
    <span class={`state ${tone}`}>
      <span aria-hidden="true">{SIGNS[tone]}</span> {words}
    </span>
  );
}

export function TaskState({ task }: { task: ListedTask }) {
  return <State tone={status_tone(task)} words={status_words(task)} />;
}

export function When({ at }: { at: string | null | undefined }) {
  const now = useNow();
  const time = time_of(at);
  return time === null ? <span>–</span> : <time dateTime={at!} title={clock(time, 0)}>{ago(time, now)}</time>;
}

/// The shares of blue and green, side by side.
export function WeightBar({ weight, has_green }: { weight: number; has_green: boolean }) {
  const words = has_green ? `${weight} % green` : "all blue";
  return (
    <span class="weight">
      <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect class="bar-blue" x="0" y="0" width={has_green ? 100 - weight : 100} height="8" />
        {has_green && <rect class="bar-green" x={100 - weight} y="0" width={weight} height="8" />}
      </svg>
      <span class="weight-words">{words}</span>
    </span>
  );
}

export function weight_of(model: Model) {
  return model.blue || model.green ? <WeightBar weight={model.weight} has_green={model.green !== null} /> : <span>–</span>;
}

export function Panel({ advice, children }: { advice: Advice; children?: ComponentChildren }) {
  return (
    <section class="panel" role="alert">
      <h2>{advice.title}</h2>
      <p>{advice.text}</p>
      {children}
    </section>
  );
}

export function ProblemPanel({ problem, what, url }: { problem: Problem; what: string; url: string }) {
  return <Panel advice={advice_for(problem, what, url)} />;
}

export function Loading({ what }: { what: string }) {
  return <p class="loading">Reading {what} …</p>;
}

export function TaskLink({ task, children }: { task: { kind: string; task_id: string }; children: ComponentChildren }) {
  return <a href={link(task.kind, task.task_id)}>{children}</a>;
}

export function what_of(task: ListedTask): string {
  return task.kind === "delete" ? "deletion" : task.metadata.revision ? `revision ${task.metadata.revision}` : "deployment";
}
