// What the page knows of the gateway, kept up to date: by its events, or by asking again and again where there are none.
import type { Answer, Client } from "../api/client";
import type { Kind, ListedTask, Model, Problem, Revision } from "../api/documents";
import { is_final, with_own_words } from "../api/documents";
import { Rates, type Rate, type Sample } from "./rates";

export const MOST_MODELS = 5000;
export const STALE_MS = 25000;
const POLL_MS = 3000;
const POLL_LARGE_MS = 10000;
const REFRESH_MS = 60000;
const MANY_MODELS = 200;
const SETTLE_MS = 400;
const SETTLE_LARGE_MS = 3000;
const LISTED = "100";

export type Connection = "live" | "asking" | "connecting";

export interface Known {
  models: Model[] | null;
  more_models: boolean;
  models_problem: Problem | null;
  tasks: ListedTask[] | null; ///< the newest first
  tasks_problem: Problem | null;
  heard_at: number | null; ///< when the gateway last said anything
  connection: Connection;
  rolloutd: "up" | "away" | null;
  not_ready: string | null; ///< what /readyz says is missing
}

interface TaskRow {
  task_id: string;
  model_id: string;
  kind: Kind;
  status: ListedTask["status"];
  step?: string | null;
  weight?: number | null;
  revision?: number | null;
  detail?: string | null;
  updated_at: string;
}

/// A row says what has changed of a task; the rest stays as it was.
export function with_row(task: ListedTask, row: TaskRow): ListedTask {
  const { status } = with_own_words(row);
  const metadata = { ...task.metadata };
  delete metadata.waits_for;
  if (row.step !== undefined && row.step !== null) metadata.step = row.step;
  if (typeof row.weight === "number") metadata.traffic_weight = row.weight;
  if (typeof row.revision === "number") metadata.revision = row.revision;
  return { ...task, status, detail: row.detail ?? task.detail, updated_at: row.updated_at, metadata };
}

interface ModelRow {
  model_id: string;
  part?: string;
  blue: Revision | null;
  green: Revision | null;
  weight: number;
}

/// Where the gateway now routes a model's requests. A model in parts has a route for each of them.
export function with_route(model: Model, row: ModelRow): Model {
  if (row.part || row.blue === null) {
    return model;
  }
  const slot = (before: Revision | null, now: Revision | null) => (before && now && before.revision === now.revision ? before : now);
  return { ...model, blue: slot(model.blue, row.blue), green: row.green ? slot(model.green, row.green) : model.green, weight: row.weight };
}

/// Lists that overlap, as one: each task once, the newest first.
export function merged(lists: ListedTask[][]): ListedTask[] {
  const by_id = new Map<string, ListedTask>();
  for (const task of lists.flat()) {
    const other = by_id.get(task.task_id);
    if (!other || other.updated_at < task.updated_at) {
      by_id.set(task.task_id, task);
    }
  }
  return [...by_id.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0));
}

export class Live {
  known: Known = {
    models: null, more_models: false, models_problem: null, tasks: null, tasks_problem: null,
    heard_at: null, connection: "connecting", rolloutd: null, not_ready: null,
  };
  readonly rates = new Rates();
  private readonly listeners = new Set<() => void>();
  private stream: EventSource | null = null;
  private refused_stream = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private due_at = Infinity;
  private asking = false;
  private in_progress_word = "in_progress";

  constructor(readonly client: Client) {}

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start(): void {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.wake()));
    this.wake();
  }

  /// Reads the lists soon: after what a person has done, too.
  refresh_soon(): void {
    this.refresh_in(this.has_many() ? SETTLE_LARGE_MS : SETTLE_MS);
  }

  rate_of(model_id: string): Rate | null {
    return this.rates.of(model_id, Date.now());
  }

  private change(what: Partial<Known>): void {
    this.known = { ...this.known, ...what };
    this.listeners.forEach((listener) => listener());
  }

  // A hidden page holds no connection.

  private wake(): void {
    this.refresh_in(0);
    this.listen();
  }

  private rest(): void {
    this.stream?.close();
    this.stream = null;
    clearTimeout(this.timer);
    this.due_at = Infinity;
  }

  // The stream of events.

  private listen(): void {
    if (this.stream || this.refused_stream) {
      return;
    }
    const stream = new EventSource(this.client.url("/events?samples=1"));
    this.stream = stream;
    const on = <T>(event: string, take: (data: T) => void) =>
      stream.addEventListener(event, (message) => {
        try {
          take(JSON.parse((message as MessageEvent).data) as T);
        } catch {
          this.refresh_soon();
        }
      });
    on<{ rolloutd: "up" | "away" }>("ping", ({ rolloutd }) => {
      const was_away = this.known.rolloutd === "away" && rolloutd === "up";
      const first = this.known.connection !== "live";
      this.change({ heard_at: Date.now(), connection: "live", rolloutd });
      if (was_away || first) {
        this.refresh_soon();
      }
    });
    on<TaskRow>("task", (row) => this.take_row(row));
    on<ModelRow>("model", (row) => this.take_model(row));
    on<unknown>("reset", () => this.refresh_soon());
    on<Sample>("sample", (sample) => {
      this.rates.take(sample, Date.now());
      this.change({ heard_at: Date.now() });
    });
    stream.onerror = () => {
      if (stream.readyState !== EventSource.CLOSED) {
        this.change({ connection: "connecting" });
        return;
      }
      // The gateway has no events for this browser, or has too many readers: ask instead, and try again later.
      stream.close();
      this.stream = null;
      this.refused_stream = true;
      setTimeout(() => {
        this.refused_stream = false;
        if (!document.hidden) this.listen();
      }, REFRESH_MS);
      this.change({ connection: "asking" });
      this.refresh_in(0);
    };
  }

  private take_row(row: TaskRow): void {
    const tasks = this.known.tasks ?? [];
    const index = tasks.findIndex(({ task_id }) => task_id === row.task_id);
    if (index >= 0) {
      const next = tasks.slice();
      next[index] = with_row(tasks[index]!, row);
      this.change({ tasks: next, heard_at: Date.now() });
    }
    // What a row leaves out, and what the model is now.
    this.refresh_soon();
  }

  private take_model(row: ModelRow): void {
    const models = (this.known.models ?? []).map((model) => (model.model_id === row.model_id ? with_route(model, row) : model));
    this.change({ ...(this.known.models ? { models } : {}), heard_at: Date.now() });
    this.refresh_soon();
  }

  // The lists.

  private refresh_in(ms: number): void {
    this.due_at = Math.min(this.due_at, Date.now() + ms);
    if (!this.asking) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.refresh(), Math.max(0, this.due_at - Date.now()));
    }
  }

  private has_many(): boolean {
    return (this.known.models?.length ?? 0) > MANY_MODELS;
  }

  private pause_ms(): number {
    const { connection, models_problem, tasks_problem } = this.known;
    if (models_problem || tasks_problem) {
      return (models_problem ?? tasks_problem)!.status === 429 ? POLL_LARGE_MS : POLL_MS;
    }
    return connection === "live" ? REFRESH_MS : this.has_many() ? POLL_LARGE_MS : POLL_MS;
  }

  private async refresh(): Promise<void> {
    this.asking = true;
    this.due_at = Infinity;
    await Promise.all([this.read_ready(), this.read_models(), this.read_tasks()]);
    this.asking = false;
    if (!document.hidden) {
      this.refresh_in(this.pause_ms());
    }
  }

  private heard(answer: Answer<unknown>): Partial<Known> {
    return answer.problem?.status === 0 ? { connection: "connecting" } : { heard_at: Date.now() };
  }

  private async read_ready(): Promise<void> {
    const answer = await this.client.get<unknown>("/readyz");
    if (answer.problem?.status === 0) {
      this.change(this.heard(answer));
      return;
    }
    const connection = this.stream?.readyState === EventSource.OPEN ? "live" : this.stream ? "connecting" : "asking";
    const not_ready = answer.problem?.status === 503 ? answer.problem.detail : null;
    // The gateway is also not ready while rolloutd is still filling it: then the events, if there are any, know that rolloutd is up.
    const rolloutd = answer.problem === undefined ? "up" : not_ready !== null && connection !== "live" ? "away" : this.known.rolloutd;
    this.change({ ...this.heard(answer), connection, rolloutd, not_ready });
  }

  private async read_models(): Promise<void> {
    const answer = await this.client.models(MOST_MODELS);
    this.change(
      answer.problem
        ? { ...this.heard(answer), models_problem: answer.problem }
        : { heard_at: Date.now(), models: answer.value.models, more_models: answer.value.more, models_problem: null },
    );
  }

  private async read_tasks(): Promise<void> {
    const queries = [{}, { status: this.in_progress_word }, { status: "pending" }];
    const kinds: Kind[] = ["deploy", "delete"];
    const answers = await Promise.all(
      kinds.flatMap((kind) => queries.map((query) => this.client.tasks(kind, { limit: LISTED, ...query }))),
    );
    const wrong = answers.find((answer) => answer.problem);
    if (wrong?.problem) {
      if (wrong.problem.status === 422 && this.in_progress_word === "in_progress") {
        this.in_progress_word = "processing"; // dialect=embedding_studio
        await this.read_tasks();
        return;
      }
      this.change({ ...this.heard(wrong), tasks_problem: wrong.problem });
      return;
    }
    this.change({ heard_at: Date.now(), tasks: merged(answers.map((answer) => answer.value!.tasks)), tasks_problem: null });
  }
}

export function under_way(tasks: ListedTask[]): ListedTask[] {
  return tasks.filter(({ status }) => status === "in_progress");
}

export function queued(tasks: ListedTask[]): ListedTask[] {
  return tasks.filter(({ status }) => status === "pending").reverse();
}

export function last_tasks(tasks: ListedTask[]): Map<string, ListedTask> {
  const last = new Map<string, ListedTask>();
  for (const task of tasks) {
    const other = last.get(task.model_id);
    if (!other || (is_final(other.status) && task.status === "in_progress")) {
      last.set(task.model_id, task);
    }
  }
  return last;
}
