// The plots of a rollout: the weight, the failures and the p99 of blue and green, on one axis of time.
import { useEffect, useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Series, SeriesMark } from "../api/documents";
import { clock, count, milliseconds, number, percent } from "../words/format";
import { plot_data, type PlotData } from "../words/plot_data";
import { Rows } from "./rows";

type Column = (number | null)[];

interface Line {
  name: string;
  color: string; ///< a variable of the style sheet
  dash?: number[];
  fill?: string;
  stepped?: boolean;
  values: Column;
}

export const MARK_WORDS: Record<SeriesMark["what"], string> = {
  weight: "new weight", pause: "paused", resume: "resumed", promote: "promoted by a client", cancel: "canceled by a client",
  verdict: "verdict of the gate", promoted: "promoted", end: "end",
};

function color_of(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function draw_marks(plot: uPlot, marks: SeriesMark[]): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = color_of("--mark");
  ctx.font = `${11 * devicePixelRatio}px sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  let before = { x: -Infinity, row: 0 };
  marks.forEach((mark, i) => {
    const x = plot.valToPos(Date.parse(mark.at) / 1000, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) {
      return;
    }
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    // Numbers of marks that are close go below each other.
    before = { x, row: x - before.x < 16 * devicePixelRatio ? before.row + 1 : 0 };
    ctx.fillText(String(i + 1), x + 2 * devicePixelRatio, bbox.top + (2 + 13 * before.row) * devicePixelRatio);
  });
  ctx.restore();
}

function options_of(lines: Line[], unit: string, width: number, height: number, range: [number, number], marks: { current: SeriesMark[] }): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: () => color_of("--quiet"),
    grid: { stroke: () => color_of("--line"), width: 1 },
    ticks: { stroke: () => color_of("--line"), width: 1 },
    font: "11px sans-serif",
  };
  return {
    width,
    height,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, sync: { key: "rollout" }, points: { show: false } },
    scales: {
      x: { range: () => range },
      y: { range: (_, __, most) => [0, unit === "%w" ? 100 : Math.max(most ?? 0, unit === "%" ? 1 : 10) * 1.1] },
    },
    axes: [
      { ...axis, values: (_, at) => at.map((second) => new Date(second * 1000).toLocaleTimeString("en-GB")), space: 70, size: 26 },
      { ...axis, values: (_, values) => values.map((value) => `${number(value)} ${unit === "ms" ? "ms" : "%"}`), size: 60, space: 28 },
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => ({
        label: line.name,
        stroke: () => color_of(line.color),
        width: 2,
        points: { show: lines.length > 1 && line.values.filter((value) => value !== null).length === 1 },
        ...(line.dash ? { dash: line.dash } : {}),
        ...(line.fill ? { fill: () => color_of(line.fill!) } : {}),
        ...(line.stepped ? { paths: uPlot.paths.stepped!({ align: -1 }) } : {}),
      })),
    ],
    hooks: { draw: [(plot) => draw_marks(plot, marks.current)] },
  };
}

function Plot({ title, says, at, lines, unit, range, marks }: {
  title: string; says: string; at: number[]; lines: Line[]; unit: string; range: [number, number]; marks: SeriesMark[];
}) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const current_range = useRef(range);
  const current_marks = useRef(marks);
  current_marks.current = marks;
  current_range.current[0] = range[0];
  current_range.current[1] = range[1];
  const data = [at, ...lines.map((line) => line.values)] as uPlot.AlignedData;

  useEffect(() => {
    const element = place.current!;
    const height = 150;
    const made = new uPlot(options_of(lines, unit, element.clientWidth, height, current_range.current, current_marks), data, element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => made.redraw(false, true);
    dark.addEventListener("change", redraw);
    return () => {
      resized.disconnect();
      dark.removeEventListener("change", redraw);
      made.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.setData(data), [at, marks]);

  return (
    <figure class="plot">
      <figcaption>
        <strong>{title}</strong>
        {lines.map((line) => (
          <span key={line.name} class="key">
            <svg viewBox="0 0 24 4" aria-hidden="true"><line class={`key${line.color}`} x1="0" y1="2" x2="24" y2="2" {...(line.dash ? { "stroke-dasharray": "6 3" } : {})} /></svg>
            {line.name}
          </span>
        ))}
      </figcaption>
      <div ref={place} role="img" aria-label={says} />
    </figure>
  );
}

function last_of(column: Column): number | null {
  for (let i = column.length; i-- > 0; ) {
    if (column[i] !== null) {
      return column[i]!;
    }
  }
  return null;
}

function says(what: string, pair: { blue: Column; green: Column; limit: Column }, text: (value: number) => string): string {
  const parts = (["blue", "green", "limit"] as const).flatMap((name) => {
    const value = last_of(pair[name]);
    return value === null ? [] : [`${name} ${text(value)}`];
  });
  return parts.length > 0 ? `${what}, at last: ${parts.join(", ")}. The numbers are in the table below.` : `${what}: no requests yet.`;
}

function pair_of(pair: { blue: Column; green: Column; limit: Column }): Line[] {
  const lines: Line[] = [
    { name: "blue", color: "--blue", values: pair.blue },
    { name: "green", color: "--green", dash: [6, 3], values: pair.green },
  ];
  return pair.limit.some((value) => value !== null) ? [...lines, { name: "limit", color: "--bad", dash: [2, 2], values: pair.limit }] : lines;
}

function range_of(data: PlotData, marks: SeriesMark[]): [number, number] {
  const ends = [...data.at, ...marks.map((mark) => Date.parse(mark.at) / 1000)].filter(Number.isFinite);
  const first = ends.reduce((least, one) => Math.min(least, one), Infinity);
  const last = ends.reduce((most, one) => Math.max(most, one), -Infinity);
  return [first, Math.max(last, first + 10)];
}

function Marks({ marks }: { marks: SeriesMark[] }) {
  return marks.length === 0 ? null : (
    <ol class="marks">
      {marks.map((mark, i) => (
        <li key={`${mark.at} ${i}`}>
          <time dateTime={mark.at}>{clock(Date.parse(mark.at), Date.now())}</time> <strong>{MARK_WORDS[mark.what] ?? mark.what}</strong> {mark.detail}
        </li>
      ))}
    </ol>
  );
}

const NUMBERS = ["Until", "Weight", "Blue", "failed", "4xx", "p50", "p99", "Green", "failed", "4xx", "p50", "p99"];

function Numbers({ series }: { series: Series }) {
  const from = Date.parse(series.from ?? "");
  const points = useMemo(() => series.second.map((_, i) => i).reverse(), [series]);
  const ms = (value: number | null | undefined) => (value == null ? "–" : milliseconds(value));
  const slot = (name: "blue" | "green", i: number) => {
    const of = series[name];
    return [count(of.requests[i] ?? 0), count(of.failures[i] ?? 0), count(of.client_errors[i] ?? 0), ms(of.p50_ms[i]), ms(of.p99_ms[i])];
  };
  return (
    <details class="numbers">
      <summary>The numbers, point by point</summary>
      <div class="scrolls" role="region" aria-label="The numbers, point by point" tabIndex={0}>
        <table>
          <thead><tr>{NUMBERS.map((name, i) => <th key={i} scope="col">{name}</th>)}</tr></thead>
          <Rows items={points} key_of={String} columns={NUMBERS.length}>
            {(i) => (
              <>
                <th scope="row">{clock(from + 1000 * series.second[i]!, Date.now())}</th>
                <td class="number">{series.weight[i]} %</td>
                {[...slot("blue", i), ...slot("green", i)].map((text, column) => <td key={column} class="number">{text}</td>)}
              </>
            )}
          </Rows>
        </table>
      </div>
    </details>
  );
}

export function Plots({ series }: { series: Series }) {
  const data = useMemo(() => plot_data(series), [series]);
  if (data.at.length === 0) {
    return <p class="quiet">The gate has not looked at any traffic yet.</p>;
  }
  const range = range_of(data, series.marks);
  const common = { at: data.at, range, marks: series.marks };
  const weight = last_of(data.weight) ?? 0;
  const weight_line: Line = { name: "green's share of the traffic", color: "--green", fill: "--green-area", stepped: true, values: data.weight };
  const has_limit = data.failed.limit.some((one) => one !== null);
  return (
    <>
      <Plot {...common} title="Weight" unit="%w" says={`The weight, at last: ${weight} %.`} lines={[weight_line]} />
      <Plot {...common} key={`failed ${has_limit}`} title="Failed, since the weight was set" unit="%" says={says("Failed requests", data.failed, (value) => percent(value / 100))} lines={pair_of(data.failed)} />
      <Plot {...common} key={`p99 ${data.p99.limit.some((one) => one !== null)}`} title="p99" unit="ms" says={says("p99", data.p99, milliseconds)} lines={pair_of(data.p99)} />
      <Marks marks={series.marks} />
      <Numbers series={series} />
    </>
  );
}
