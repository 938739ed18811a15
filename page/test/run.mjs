// Runs the unit tests of the page's functions: bundles each file of this folder for Node, and hands it to Node's own test runner.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "rollout-page."));
try {
  const names = readdirSync(HERE).filter((name) => name.endsWith(".test.ts"));
  await build({ entryPoints: names.map((name) => join(HERE, name)), outdir: folder, bundle: true, platform: "node", format: "esm", outExtension: { ".js": ".mjs" } });
  const files = names.map((name) => join(folder, name.replace(/\.ts$/, ".mjs")));
  process.exitCode = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit", env: { ...process.env, TZ: "UTC" } }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
