// One task, and what the gate has seen of it, as long as somebody looks at them.
import { useEffect, useState } from "preact/hooks";
import { NOT_MODIFIED, type Answer, type Client } from "../api/client";
import { is_final, type Kind, type Problem, type Series, type Task } from "../api/documents";

const WAIT_S = 25;
const PAUSE_MS = 2000;

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/// Runs `follow` while the page can be seen.
function useWhileVisible(follow: (signal: AbortSignal) => Promise<void>, inputs: unknown[]): void {
  useEffect(() => {
    let leaving = new AbortController();
    const change = () => {
      leaving.abort();
      if (!document.hidden) {
        leaving = new AbortController();
        void follow(leaving.signal);
      }
    };
    change();
    document.addEventListener("visibilitychange", change);
    return () => {
      document.removeEventListener("visibilitychange", change);
      leaving.abort();
    };
  }, inputs);
}

export interface Followed {
  task: Task | null;
  problem: Problem | null;
}

export function useTask(client: Client, kind: Kind, task_id: string): Followed {
  const [followed, set_followed] = useState<Followed & { of: string }>({ task: null, problem: null, of: task_id });
  useWhileVisible(async (signal) => {
    let etag: string | null = null;
    while (!signal.aborted) {
      const answer: Answer<Task> = await client.task(kind, task_id, etag, WAIT_S, signal);
      if (signal.aborted) {
        return;
      }
      if (answer.problem?.status === NOT_MODIFIED) {
        continue;
      }
      if (answer.problem) {
        const { problem } = answer;
        set_followed((before) => ({ task: before.of === task_id ? before.task : null, problem, of: task_id }));
        etag = null;
        await pause(PAUSE_MS, signal);
        continue;
      }
      ({ etag } = answer);
      set_followed({ task: answer.value, problem: null, of: task_id });
      if (is_final(answer.value.status)) {
        return;
      }
      if (etag === null) {
        await pause(PAUSE_MS, signal); // a proxy has taken the ETag away
      }
    }
  }, [client, kind, task_id]);
  return followed.of === task_id ? followed : { task: null, problem: null };
}

/// Null if there is none, or not yet.
export function useSeries(client: Client, task: Task | null, kind: Kind): Series | null {
  const [series, set_series] = useState<{ of: string; value: Series } | null>(null);
  const task_id = kind === "deploy" ? task?.task_id : undefined;
  const goes_on = task !== null && !is_final(task.status);
  useWhileVisible(async (signal) => {
    if (task_id === undefined) {
      return;
    }
    let etag: string | null = null;
    do {
      const path = `/deploy/${encodeURIComponent(task_id)}/series`;
      const answer: Answer<Series> = await client.get<Series>(path, etag ? { "If-None-Match": etag } : {}, signal);
      if (signal.aborted) {
        return;
      }
      if (answer.value) {
        ({ etag } = answer);
        set_series({ of: task_id, value: answer.value });
      } else if (answer.problem?.status === 404) {
        return;
      }
      await pause(PAUSE_MS, signal);
    } while (goes_on && !signal.aborted);
  }, [client, task_id, goes_on]);
  return series !== null && series.of === task_id ? series.value : null;
}
