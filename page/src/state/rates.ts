// Requests a second, failures and p99 of each model, from the gateway's cumulative counters. Filled by `sample` events.

export interface Rate {
  per_second: number;
  failed: number; ///< share
  p99_ms: number | null;
}

/// The counters of one model since the gateway's memory began.
export interface Counters {
  requests: number;
  failures: number;
  buckets?: number[]; ///< requests by duration
}

export interface Sample {
  model_id?: string;
  at?: string;
  bounds_ms?: number[];
  models?: ({ model_id: string } & Counters)[];
}

const WINDOW_MS = 30000;
const KEPT_MS = 600000;

interface Reading extends Counters {
  at: number;
}

export class Rates {
  private readonly readings = new Map<string, Reading[]>();
  private bounds_ms: number[] = [];

  take(sample: Sample, now: number): void {
    if (sample.bounds_ms) {
      this.bounds_ms = sample.bounds_ms;
    }
    for (const { model_id, ...counters } of sample.models ?? []) {
      const readings = this.readings.get(model_id) ?? [];
      const last = readings[readings.length - 1];
      // Counters that went back are those of a new memory.
      const kept = last && last.requests > counters.requests ? [] : readings.filter(({ at }) => now - at <= KEPT_MS);
      kept.push({ ...counters, at: now });
      this.readings.set(model_id, kept);
    }
  }

  of(model_id: string): Rate | null {
    const readings = this.readings.get(model_id);
    const last = readings?.[readings.length - 1];
    const first = readings?.find(({ at }) => last!.at - at <= WINDOW_MS);
    if (!last || !first || first === last) {
      return null;
    }
    const requests = last.requests - first.requests;
    return {
      per_second: (1000 * requests) / (last.at - first.at),
      failed: requests > 0 ? (last.failures - first.failures) / requests : 0,
      p99_ms: this.p99(first, last),
    };
  }

  private p99(first: Reading, last: Reading): number | null {
    const counts = (last.buckets ?? []).map((count, i) => count - (first.buckets?.[i] ?? 0));
    const all = counts.reduce((sum, count) => sum + count, 0);
    let below = 0;
    for (const [i, count] of counts.entries()) {
      below += count;
      if (count > 0 && below >= 0.99 * all) {
        return this.bounds_ms[i] ?? null;
      }
    }
    return null;
  }
}
