// Asks the gateway. An answer is a value or a problem; nothing is thrown.
import type { Kind, ListedTask, Model, Problem, Task, Verb } from "./documents";
import { with_own_words } from "./documents";

export interface Settings {
  api: string; ///< what stands before the API's routes
  write: boolean;
  version: string;
}

export type Answer<T> = { value: T; etag: string | null; problem?: undefined } | { problem: Problem; value?: undefined };

export const NOT_MODIFIED = 304;

/// Longer than any answer that does not wait.
const PATIENCE_MS = 15000;

const NO_ANSWER: Problem = { status: 0, title: "No answer", detail: "The gateway does not answer." };

function problem_of(status: number, text: string): Problem {
  try {
    const document = JSON.parse(text);
    if (typeof document.detail === "string") {
      return { status, title: String(document.title ?? ""), detail: document.detail };
    }
  } catch {
    // nginx's own page, or that of a proxy in front of it
  }
  return { status, title: `Status ${status}`, detail: `The gateway answered with status ${status}.` };
}

async function ask<T>(url: string, request: RequestInit, patience_ms = PATIENCE_MS): Promise<Answer<T>> {
  const gone = new AbortController();
  const give_up = () => gone.abort();
  const timer = setTimeout(give_up, patience_ms);
  request.signal?.addEventListener("abort", give_up);
  try {
    const answer = await fetch(url, { ...request, signal: gone.signal, cache: "no-store", credentials: "same-origin" });
    if (answer.status === NOT_MODIFIED) {
      return { problem: { status: NOT_MODIFIED, title: "", detail: "" } };
    }
    const text = await answer.text();
    if (!answer.ok) {
      return { problem: problem_of(answer.status, text) };
    }
    return { value: JSON.parse(text) as T, etag: answer.headers.get("ETag") };
  } catch {
    return { problem: NO_ANSWER };
  } finally {
    clearTimeout(timer);
    request.signal?.removeEventListener("abort", give_up);
  }
}

export class Client {
  constructor(readonly settings: Settings) {}

  static settings(): Promise<Answer<Settings>> {
    return ask<Settings>("settings.json", {});
  }

  url(path: string): string {
    return this.settings.api + path;
  }

  get<T>(path: string, headers: Record<string, string> = {}, signal?: AbortSignal, patience_ms?: number): Promise<Answer<T>> {
    return ask<T>(this.url(path), { headers, ...(signal ? { signal } : {}) }, patience_ms);
  }

  /// Waits for the document to differ from the one with that ETag; a problem with status 304 if it has not.
  async task(kind: Kind, task_id: string, etag: string | null, wait_s: number, signal: AbortSignal): Promise<Answer<Task>> {
    const path = `/${kind}/${encodeURIComponent(task_id)}` + (etag ? `?wait=${wait_s}` : "");
    const answer = await this.get<Task>(path, etag ? { "If-None-Match": etag } : {}, signal, PATIENCE_MS + wait_s * 1000);
    return answer.problem ? answer : { ...answer, value: with_own_words(answer.value) };
  }

  async tasks(kind: Kind, query: Record<string, string>, signal?: AbortSignal): Promise<Answer<{ tasks: ListedTask[]; next_page_token: string | null }>> {
    const answer = await this.get<{ tasks: Task[]; next_page_token: string | null }>(`/${kind}?${new URLSearchParams(query)}`, {}, signal);
    if (answer.problem) {
      return answer;
    }
    const tasks = answer.value.tasks.map((task) => ({ ...with_own_words(task), kind }));
    return { ...answer, value: { ...answer.value, tasks } };
  }

  /// All models, up to that number; `more` if there are more.
  async models(most: number, signal?: AbortSignal): Promise<Answer<{ models: Model[]; more: boolean }>> {
    const models: Model[] = [];
    let token: string | null = null;
    do {
      const query: URLSearchParams = new URLSearchParams({ limit: "1000", ...(token ? { page_token: token } : {}) });
      const page: Answer<{ models: Model[]; next_page_token: string | null }> = await this.get(`/models?${query}`, {}, signal);
      if (page.problem) {
        return page;
      }
      models.push(...page.value.models);
      token = page.value.next_page_token;
    } while (token && models.length < most);
    return { value: { models: models.slice(0, most), more: token !== null || models.length > most }, etag: null };
  }

  /// The key makes a repeated request the same request: a lost answer can be asked for again.
  async steer(kind: Kind, task_id: string, verb: Verb, key: string): Promise<Answer<Task>> {
    const path = `/${kind}/${encodeURIComponent(task_id)}/${verb}`;
    const creates = verb === "retry" || verb === "rollback";
    const answer = await ask<Task>(this.url(path), { method: "POST", headers: creates ? { "Idempotency-Key": key } : {} }, 30000);
    return answer.problem ? answer : { ...answer, value: with_own_words(answer.value) };
  }
}
