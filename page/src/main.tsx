// The operator's page: reads its settings, then shows what the address names.
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Client } from "./api/client";
import { Live, STALE_MS, type Known } from "./state/live";
import { duration } from "./words/format";
import { advice_for } from "./words/problems";
import { LiveContext, link, useKnown, useNow, usePlace, type Place } from "./view/context";
import { HistoryView } from "./view/history";
import { ModelView } from "./view/model";
import { ModelsView } from "./view/models";
import { Panel, State } from "./view/pieces";
import { TaskView } from "./view/task";

const RETRY_MS = 3000;

function View({ place }: { place: Place }) {
  const [first, second] = place.path;
  if (first === undefined) {
    return <ModelsView />;
  }
  if (first === "models" && second !== undefined) {
    return <ModelView key={second} model_id={second} />;
  }
  if ((first === "deploy" || first === "delete") && second !== undefined) {
    return <TaskView key={second} kind={first} task_id={second} />;
  }
  if (first === "history") {
    return <HistoryView />;
  }
  return (
    <>
      <h1>Nothing here</h1>
      <Panel advice={{ title: "There is no such page", text: "Its address names neither a model nor a task." }}><p><a href="#/">All models</a></p></Panel>
    </>
  );
}

function connection_of(known: Known) {
  switch (known.connection) {
    case "live":
      return <State tone="good" words="live" />;
    case "asking":
      return <State tone="good" words="up to date every few seconds" />;
    default:
      return <State tone="waiting" words="connecting …" />;
  }
}

function Head({ place, known, write }: { place: Place; known: Known; write: boolean }) {
  const [first] = place.path;
  const entry = (path: string[], name: string, is_here: boolean) => <a href={link(...path)} {...(is_here ? { "aria-current": "page" as const } : {})}>{name}</a>;
  return (
    <header>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")!.focus(); }}>To the content</a>
      <nav aria-label="Pages">
        <strong>Rollout</strong>
        {entry([], "Models", first === undefined)}
        {entry(["history"], "History", first === "history")}
      </nav>
      <p class="signs">
        {connection_of(known)}
        {known.rolloutd === "up" && <State tone="good" words="rolloutd" />}
        {known.rolloutd === "away" && <State tone="bad" words="rolloutd is down" />}
        {!write && <span class="quiet">read only</span>}
      </p>
    </header>
  );
}

function Banner({ known, stale, now }: { known: Known; stale: boolean; now: number }) {
  if (stale) {
    const age = known.heard_at === null ? "" : ` What you see is ${duration(Math.floor((now - known.heard_at) / 1000) * 1000)} old.`;
    return <p class="banner bad" role="alert">The gateway does not answer.{age} The page goes on trying.</p>;
  }
  if (known.rolloutd === "away") {
    return (
      <p class="banner waiting" role="alert">
        rolloutd is down. The gateway routes requests as before and shows what it last knew; it takes no new tasks and no verbs until rolloutd is back.
      </p>
    );
  }
  if (known.not_ready !== null) {
    return <p class="banner waiting" role="alert">The gateway is not ready yet. {known.not_ready}</p>;
  }
  return null;
}

function Page({ live }: { live: Live }) {
  const known = useKnown();
  const now = useNow();
  const place = usePlace();
  const main = useRef<HTMLElement>(null);
  const began = useRef(Date.now());
  const where = place.path.join("/");
  const shown = useRef(where);
  const stale = now - (known.heard_at ?? began.current) > STALE_MS;
  useEffect(() => {
    if (shown.current !== where) {
      shown.current = where;
      scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    }
    if (place.path.length === 0 || place.path[0] === "history") {
      document.title = place.path.length === 0 ? "Models – Rollout" : "History – Rollout";
    }
  }, [where]);
  return (
    <>
      <Head place={place} known={known} write={live.client.settings.write} />
      <Banner known={known} stale={stale} now={now} />
      <main id="main" ref={main} tabIndex={-1} class={stale ? "stale" : ""}>
        <View place={place} />
      </main>
      <footer class="quiet">Rollout for nginx {live.client.settings.version}</footer>
    </>
  );
}

async function begin(): Promise<void> {
  const place = document.getElementById("page")!;
  const answer = await Client.settings();
  if (answer.problem) {
    render(<main><h1>Rollout</h1><Panel advice={advice_for(answer.problem, "The page's settings", "settings.json")} /></main>, place);
    setTimeout(() => void begin(), RETRY_MS);
    return;
  }
  const live = new Live(new Client(answer.value));
  live.start();
  render(<LiveContext.Provider value={live}><Page live={live} /></LiveContext.Provider>, place);
}

void begin();
