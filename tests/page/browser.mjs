// A browser that a test drives by lines on standard input, one JSON command a line: {"id", "do", "page", …}. Each is answered by one
// line: {"id", "value"} or {"id", "error"}. What a page must never do is kept for "faults": errors and warnings on its console, what its
// content security policy has stopped, requests to another host, answers that the test did not expect.
//
// usage: node tests/page/browser.mjs PATH-OF-CHROMIUM
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"];

// What the browser itself writes for an answer with an error's status, or for one that does not come.
const OF_THE_NETWORK = /^Failed to load resource: /;
const TIMEOUT_MS = 60000;

const browser = await chromium.launch({ executablePath: process.argv[2], args: ARGUMENTS });
const pages = new Map();

function watch(page, origin) {
  const faults = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !OF_THE_NETWORK.test(message.text())) {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.stack ?? error}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["data:", "blob:"].includes(url.protocol) && url.origin !== origin) {
      faults.push(`request to ${request.url()}`);
    }
  });
  page.exposeBinding("reportViolation", (_, text) => faults.push(`policy: ${text}`));
  page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      window.reportViolation(`${event.violatedDirective} stopped ${event.blockedURI} ${event.sample}`));
  });
  return faults;
}

const commands = {
  async open({ url, width = 1280, height = 800, dark = false, scale = 1, reduced = false }) {
    const context = await browser.newContext({
      viewport: { width, height }, colorScheme: dark ? "dark" : "light", deviceScaleFactor: scale,
      reducedMotion: reduced ? "reduce" : "no-preference", timezoneId: "UTC", locale: "en-GB",
    });
    const page = await context.newPage();
    page.setDefaultTimeout(TIMEOUT_MS);
    const number = pages.size + 1;
    pages.set(number, { page, context, faults: watch(page, new URL(url).origin) });
    await page.goto(url);
    return number;
  },
  close: ({ page }) => pages.get(page).context.close(),
  faults: ({ page }) => pages.get(page).faults,
  goto: ({ page, url }) => pages.get(page).page.goto(url).then(() => null),
  reload: ({ page }) => pages.get(page).page.reload().then(() => null),
  text: ({ page, of }) => pages.get(page).page.locator(of).first().innerText(),
  texts: ({ page, of }) => pages.get(page).page.locator(of).allInnerTexts(),
  count: ({ page, of }) => pages.get(page).page.locator(of).count(),
  click: ({ page, of }) => pages.get(page).page.locator(of).first().click(),
  fill: ({ page, of, text }) => pages.get(page).page.locator(of).first().fill(text),
  choose: ({ page, of, option }) => pages.get(page).page.locator(of).first().selectOption(option),
  press: ({ page, key }) => pages.get(page).page.keyboard.press(key),
  type: ({ page, text }) => pages.get(page).page.keyboard.type(text),
  see: ({ page, of, text, state }) => pages.get(page).page.locator(of, text === undefined ? {} : { hasText: text }).first().waitFor({ state: state ?? "visible" }),
  run: ({ page, script }) => pages.get(page).page.evaluate(script),
  until: ({ page, script }) => pages.get(page).page.waitForFunction(script).then(() => null),
  media: ({ page, dark, print }) => pages.get(page).page.emulateMedia({ ...(dark === undefined ? {} : { colorScheme: dark ? "dark" : "light" }), ...(print === undefined ? {} : { media: print ? "print" : "screen" }) }),
  size: ({ page, width, height }) => pages.get(page).page.setViewportSize({ width, height }),
  shot: ({ page, path, whole = false, of }) => (of ? pages.get(page).page.locator(of).screenshot({ path }) : pages.get(page).page.screenshot({ path, fullPage: whole })).then(() => null),
  /// The browser's own view of the tab: hidden pages are told so.
  async visible({ page, is }) {
    await pages.get(page).page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (hidden ? "hidden" : "visible") });
      document.dispatchEvent(new Event("visibilitychange"));
    }, !is);
  },
  /// What axe-core finds wrong. It is run outside of the page's own world, so that the page's policy stays as it is.
  async axe({ page }) {
    const session = await pages.get(page).context.newCDPSession(pages.get(page).page);
    const { frameTree } = await session.send("Page.getFrameTree");
    const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
    const evaluate = async (expression) => {
      const answer = await session.send("Runtime.evaluate", { expression, contextId: executionContextId, awaitPromise: true, returnByValue: true });
      if (answer.exceptionDetails) {
        throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text);
      }
      return answer.result.value;
    };
    await evaluate(`${AXE}; 0`);
    const found = await evaluate("axe.run(document).then(({ violations }) => violations.map((one) => ({ id: one.id, help: one.help, nodes: one.nodes.map((node) => node.html + ' ' + node.failureSummary) })))");
    await session.detach();
    return found;
  },
};

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const command = JSON.parse(line);
  try {
    process.stdout.write(JSON.stringify({ id: command.id, value: (await commands[command.do](command)) ?? null }) + "\n");
  } catch (error) {
    process.stdout.write(JSON.stringify({ id: command.id, error: String(error) }) + "\n");
  }
}
await browser.close();
