// Numbers and times as a person reads them.

const grouped = new Intl.NumberFormat("en");

export function count(value: number): string {
  return grouped.format(value);
}

/// Three digits that count, without zeros behind them: 1,234 and 12.3 and 0.0123.
export function number(value: number): string {
  if (!Number.isFinite(value)) {
    return "?";
  }
  return Math.abs(value) >= 100 ? grouped.format(Math.round(value)) : String(Number(value.toPrecision(3)));
}

export function percent(share: number): string {
  return `${number(share * 100)} %`;
}

export function milliseconds(value: number): string {
  return `${number(value)} ms`;
}

export function duration(ms: number): string {
  if (ms < 1000) {
    return `${Math.max(0, Math.round(ms))} ms`;
  }
  if (ms < 10000) {
    return `${Math.round(ms / 100) / 10} s`;
  }
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) {
    return `${seconds} s`;
  }
  if (seconds < 3600) {
    return seconds % 60 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${seconds / 60} min`;
  }
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) {
    return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
  }
  const hours = Math.round(minutes / 60);
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

/// Seconds alone, for what counts down or up: it must not flicker between units.
export function whole_seconds(ms: number): string {
  return duration(Math.max(1000, Math.ceil(ms / 1000) * 1000));
}

export function time_of(iso: string | null | undefined): number | null {
  const ms = iso ? Date.parse(iso) : NaN;
  return Number.isNaN(ms) ? null : ms;
}

/// As 2026-11-23. No locale has that in every version of ICU.
function day_of(time: Date): string {
  const two = (number: number): string => String(number).padStart(2, "0");
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

/// The clock's time; with the date if it is another day's.
export function clock(at: number, now: number): string {
  const time = new Date(at);
  const text = time.toLocaleTimeString("en-GB");
  return time.toDateString() === new Date(now).toDateString() ? text : `${day_of(time)} ${text}`;
}

export function ago(at: number, now: number): string {
  const ms = now - at;
  return ms < 2000 ? "now" : `${duration(ms < 60000 ? Math.floor(ms / 1000) * 1000 : Math.floor(ms / 60000) * 60000)} ago`;
}

export function plural(of: number, one: string, many = `${one}s`): string {
  return `${count(of)} ${of === 1 ? one : many}`;
}
