// What every part of the page has at hand: the live state, the time, the place in the address.
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { Known, Live } from "../state/live";

export const LiveContext = createContext<Live>(null as unknown as Live);

export function useLive(): Live {
  return useContext(LiveContext);
}

export function useKnown(): Known {
  const live = useLive();
  const [known, set_known] = useState(live.known);
  useEffect(() => {
    set_known(live.known);
    return live.subscribe(() => set_known(live.known));
  }, [live]);
  return known;
}

/// The time, each second.
export function useNow(): number {
  const [now, set_now] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => set_now(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

export interface Place {
  path: string[];
  query: URLSearchParams;
}

export function place_of(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const decoded = path.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { path: decoded, query: new URLSearchParams(query) };
}

export function usePlace(): Place {
  const [hash, set_hash] = useState(location.hash);
  useEffect(() => {
    const on_change = () => set_hash(location.hash);
    addEventListener("hashchange", on_change);
    return () => removeEventListener("hashchange", on_change);
  }, []);
  return place_of(hash);
}

export function link(...path: string[]): string {
  return `#/${path.map(encodeURIComponent).join("/")}`;
}

/// Changes the query of the address without a step in the browser's history.
export function replace_query(place: Place, changes: Record<string, string>): void {
  const query = new URLSearchParams(place.query);
  for (const [name, value] of Object.entries(changes)) {
    value ? query.set(name, value) : query.delete(name);
  }
  const text = query.toString();
  history.replaceState(null, "", link(...place.path) + (text ? `?${text}` : ""));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
