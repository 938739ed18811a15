// The series of a rollout as plots and tables have it: one column a line, on one axis of time.
import type { Limits, Series, SlotSeries } from "../api/documents";

type Column = (number | null)[];

export interface PlotData {
  at: number[]; ///< in seconds since 1970
  weight: Column; ///< in percent
  failed: { blue: Column; green: Column; limit: Column }; ///< in percent of the requests since the weight was set
  p99: { blue: Column; green: Column; limit: Column }; ///< in milliseconds, of the requests of each point
}

/// What is the least of the limits that apply; null if none does.
function least(...limits: (number | null | undefined)[]): number | null {
  const known = limits.filter((one): one is number => typeof one === "number");
  return known.length > 0 ? Math.min(...known) : null;
}

class Sum {
  requests = 0;
  failures = 0;

  add(slot: SlotSeries, index: number): void {
    this.requests += slot.requests[index] ?? 0;
    this.failures += slot.failures[index] ?? 0;
  }

  share(): number | null {
    return this.requests > 0 ? (100 * this.failures) / this.requests : null;
  }
}

function times(factor: number | undefined, of_blue: number | null): number | null {
  return factor === undefined || of_blue === null ? null : factor * of_blue;
}

export function plot_data(series: Series): PlotData {
  const data: PlotData = { at: [], weight: [], failed: { blue: [], green: [], limit: [] }, p99: { blue: [], green: [], limit: [] } };
  const columns = [data.weight, ...Object.values(data.failed), ...Object.values(data.p99)];
  const from = series.from === null ? NaN : Date.parse(series.from) / 1000;
  if (Number.isNaN(from)) {
    return data;
  }
  const limits: Limits = series.limits ?? {};
  const percent_limit = limits.max_error_rate === undefined ? null : 100 * limits.max_error_rate;
  let sums = { blue: new Sum(), green: new Sum() };
  series.second.forEach((second, i) => {
    const before = i > 0 ? series.second[i - 1]! : null;
    if (before !== null && second - before > 2 * series.period_s) {
      // Nobody looked in between: the lines break.
      data.at.push(from + before + series.period_s);
      columns.forEach((column) => column.push(null));
    }
    if (i > 0 && series.weight[i] !== series.weight[i - 1]) {
      sums = { blue: new Sum(), green: new Sum() };
    }
    sums.blue.add(series.blue, i);
    sums.green.add(series.green, i);
    const failed_blue = sums.blue.share();
    const p99_blue = series.blue.p99_ms[i] ?? null;
    data.at.push(from + second);
    data.weight.push(series.weight[i] ?? null);
    data.failed.blue.push(failed_blue);
    data.failed.green.push(sums.green.share());
    data.failed.limit.push(least(percent_limit, times(limits.max_error_ratio_to_blue, failed_blue)));
    data.p99.blue.push(p99_blue);
    data.p99.green.push(series.green.p99_ms[i] ?? null);
    data.p99.limit.push(least(limits.max_p99_ms, times(limits.max_p99_ratio_to_blue, p99_blue)));
  });
  return data;
}
