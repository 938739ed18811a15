// Requests a second, failures and p99 of each model, from the gateway's counters, which `sample` events carry.

export interface Rate {
  per_second: number;
  failed: number; ///< share
  p99_ms: number | null; ///< the bound of the bucket that it falls into; null if there were no requests, or it is above all bounds
}

/// What has been counted of a slot since its route was put in force.
interface Slot {
  requests: number;
  failed: number;
  buckets: number[]; ///< requests up to each bound, each by itself, and those above
}

/// The first sample has all models, later ones those that have had requests since.
export interface Sample {
  bounds_ms: number[];
  models: { model_id: string; part: string; blue: Slot | null; green: Slot | null }[];
}

const WINDOW_MS = 30000;
const LEAST_MS = 1500; ///< less says nothing

interface Reading extends Slot {
  at: number;
}

function sum_of(slots: (Slot | null)[]): Slot {
  const sum: Slot = { requests: 0, failed: 0, buckets: [] };
  for (const slot of slots) {
    if (slot) {
      sum.requests += slot.requests;
      sum.failed += slot.failed;
      slot.buckets.forEach((count, i) => (sum.buckets[i] = (sum.buckets[i] ?? 0) + count));
    }
  }
  return sum;
}

export class Rates {
  private readonly parts = new Map<string, Map<string, Slot>>();
  private readonly readings = new Map<string, Reading[]>();
  private bounds_ms: number[] = [];

  take(sample: Sample, now: number): void {
    this.bounds_ms = sample.bounds_ms;
    const changed = new Set<string>();
    for (const { model_id, part, blue, green } of sample.models) {
      const parts = this.parts.get(model_id) ?? new Map<string, Slot>();
      parts.set(part, sum_of([blue, green]));
      this.parts.set(model_id, parts);
      changed.add(model_id);
    }
    changed.forEach((model_id) => this.add(model_id, { ...sum_of([...this.parts.get(model_id)!.values()]), at: now }));
  }

  of(model_id: string, now: number): Rate | null {
    const readings = this.readings.get(model_id) ?? [];
    const last = readings[readings.length - 1];
    const first = [...readings].reverse().find(({ at }) => now - at >= WINDOW_MS) ?? readings[0];
    if (!last || !first || now - first.at < LEAST_MS) {
      return null;
    }
    const requests = last.requests - first.requests;
    return {
      per_second: (1000 * requests) / (now - first.at),
      failed: requests > 0 ? (last.failed - first.failed) / requests : 0,
      p99_ms: this.p99(first, last),
    };
  }

  private add(model_id: string, reading: Reading): void {
    const before = this.readings.get(model_id) ?? [];
    const last = before[before.length - 1];
    // Counters that went back are those of another route.
    const went_back = last !== undefined && last.requests > reading.requests;
    const old = before.filter(({ at }) => reading.at - at >= WINDOW_MS).slice(-1);
    const kept = went_back ? [] : [...old, ...before.filter(({ at }) => reading.at - at < WINDOW_MS)];
    this.readings.set(model_id, [...kept, reading]);
  }

  private p99(first: Reading, last: Reading): number | null {
    const counts = last.buckets.map((count, i) => count - (first.buckets[i] ?? 0));
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
