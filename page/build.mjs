// Bundles the operator's page and writes it as a C++ source with the files in both forms, plain and compressed:
// module/page/page_files.hpp. The same sources give the same bytes.
//
// usage: node page/build.mjs OUTPUT.cpp
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const HERE = dirname(fileURLToPath(import.meta.url));

async function load_esbuild() {
  try {
    return await import("esbuild");
  } catch {
    console.error("The npm packages of the operator's page are missing. Run \"npm ci\" in page/ (scripts/install-needs does), " +
      "or build without the page: -DROLLOUT_PAGE=OFF.");
    process.exit(1);
  }
}

async function bundle(esbuild) {
  const built = await esbuild.build({
    entryPoints: { page: join(HERE, "src/main.tsx") },
    outdir: "/out",
    absWorkingDir: HERE,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2020",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "inline",
    logLevel: "warning",
  });
  const file = (ending) => built.outputFiles.find(({ path }) => path.endsWith(ending)).contents;
  return [
    { name: "", type: "text/html; charset=utf-8", content: await readFile(join(HERE, "src/index.html")) },
    { name: "page.css", type: "text/css; charset=utf-8", content: file(".css") },
    { name: "page.js", type: "text/javascript; charset=utf-8", content: file(".js") },
  ];
}

function array_of(name, bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 32) {
    lines.push(Array.from(bytes.subarray(at, at + 32)).join(","));
  }
  return `constexpr unsigned char ${name}[] = {\n${lines.join(",\n")}};\n`;
}

function source_of(files) {
  const arrays = [];
  const entries = [];
  for (const [number, { name, type, content }] of files.entries()) {
    const hash = createHash("sha256").update(content).digest("hex").slice(0, 24);
    arrays.push(array_of(`plain_${number}`, content), array_of(`gzip_${number}`, gzipSync(content, { level: 9 })));
    entries.push(`    page_file{"${name}", "${type}", "${hash}", text_of(plain_${number}), text_of(gzip_${number})},`);
  }
  return `// Made by page/build.mjs.
#include "module/page/page_files.hpp"

#include <array>

namespace rollout {

namespace {

${arrays.join("\n")}
template <std::size_t size>
std::string_view text_of(const unsigned char (&bytes)[size]) noexcept
{
    return {reinterpret_cast<const char *>(bytes), size};
}

const std::array files = {
${entries.join("\n")}
};

} // namespace


std::span<const page_file> page_files() noexcept
{
    return files;
}

} // namespace rollout
`;
}

const [output] = process.argv.slice(2);
if (output === undefined) {
  console.error("usage: node page/build.mjs OUTPUT.cpp");
  process.exit(2);
}
const files = await bundle(await load_esbuild());
await mkdir(dirname(output), { recursive: true });
await writeFile(output, source_of(files));
