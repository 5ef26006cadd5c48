#!/usr/bin/env node
/**
 * node tools/browser/check-browser.mjs
 *
 * The packages that promise to run in a browser, in one: bundled for it (how large, nothing of Node inside), then golden
 * chunks encoded and decoded and a DROID sample transformed in a page of headless Chromium. One line per check; each is
 * also tried on something broken, which it has to notice. Exit code 1 when one fails. Some 15 seconds; installs
 * Debian's chromium when there is none and we are root.
 */
import { createServer } from "node:http";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { build, root } from "../../scripts/lib/workspace.mjs";
import { bundle } from "./bundle.mjs";
import { launch } from "./chromium.mjs";
import { readGoldens } from "./goldens.mjs";

const here = import.meta.dirname ?? join(root, "tools/browser");
/** Minified and gzipped, without vocabularies. */
const BUDGETS = {
  "@insula/fast-tokenizer": 60_000,
  "@insula/transforms": 30_000,
  "@insula/model-types": 10_000,
  "@insula/droid-policy": 15_000,
};
const packages = Object.keys(BUDGETS).map((name) => join(root, "packages", name.split("/")[1]));
let failed = 0;

/** Print a check's line. `problems` is empty when it holds. */
function report(what, problems) {
  if (problems.length > 0) failed++;
  console.log(`${problems.length > 0 ? "failed" : "ok    "} ${what}`);
  for (const problem of problems.slice(0, 5)) console.log(`         ${problem}`);
  if (problems.length > 5) console.log(`         and ${problems.length - 5} more`);
}

/** Print the line of a check that was given something broken. */
function reportNoticed(what, problems) {
  report(`notices ${what}`, problems.length > 0 ? [] : ["it did not"]);
}

function bundleProblems({ gzipped, nodeImports }, budget) {
  const heavy = gzipped < budget ? [] : [`${gzipped} bytes, expected fewer than ${budget}`];
  return [...nodeImports.map((path) => `imports ${path}`), ...heavy];
}

async function checkBundles() {
  for (const [name, budget] of Object.entries(BUDGETS)) {
    const made = await bundle(`export * from "${name}"`, here);
    const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
    const parts = made.parts.map(([part, bytes]) => `${part} ${kB(bytes)}`).join(", ");
    report(
      `${name}: ${kB(made.gzipped)} min+gzip (${kB(made.minified)} minified: ${parts})`,
      bundleProblems(made, budget),
    );
  }
  const node = await bundle(`export * from "@insula/fast-tokenizer/node"`, here);
  reportNoticed("what belongs to Node in a bundle", node.nodeImports);
  reportNoticed("a bundle beyond its budget", bundleProblems({ gzipped: 60_000, nodeImports: [] }, 60_000));
}

/** Serve a page whose module is `code`; resolves to its address and how to end it. */
async function serve(code) {
  const server = createServer((request, response) => {
    const module = request.url === "/page.js";
    response.writeHead(200, { "Content-Type": module ? "text/javascript" : "text/html" });
    response.end(module ? code : "<!doctype html><script type=module src=/page.js></script>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

async function checkPage(browser) {
  const { droidSample } = await import("./page.mjs");
  const { code } = await bundle(`import * as page from "./page.mjs"; window.checks = page;`, here);
  const server = await serve(code);
  try {
    const page = await browser.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(server.url);
    await page.waitForFunction("window.checks", undefined, { timeout: 20_000 }).catch(() => {});
    report("the bundle loads in the page", errors);
    const goldens = await readGoldens();
    const inPage = (tokenizers) => page.evaluate((all) => window.checks.checkGoldens(all), tokenizers);
    const { chunks, problems } = await inPage(goldens);
    const few = chunks < 400 ? [`only ${chunks} golden chunks`] : [];
    report(`${chunks} golden chunks: the same ids, and decoded to the same actions`, [...few, ...problems]);
    for (const [what, key] of [
      ["another id", "tokens"],
      ["another action", "decoded"],
    ]) {
      const broken = structuredClone(goldens.bpe2048);
      broken.cases[7][key][3] += key === "tokens" ? 1 : 1e-9;
      reportNoticed(`${what} in a golden`, (await inPage({ broken })).problems);
    }
    const expected = droidSample();
    const found = await page.evaluate(() => window.checks.droidSample());
    const differs = (a, b) =>
      isDeepStrictEqual(a, b) ? [] : [`in Node ${JSON.stringify(a)}`, `in the page ${JSON.stringify(b)}`];
    report("a DROID sample, transformed: byte for byte what Node makes of it", differs(expected, found));
    reportNoticed("another sample", differs({ ...expected, state: "" }, found));
  } finally {
    server.close();
  }
}

build([...packages, join(root, "packages/safetensors")]);
await checkBundles();
const browser = await launch();
try {
  console.log(`       Chromium ${browser.version()}`);
  await checkPage(browser);
} finally {
  await browser.close();
}
console.log(failed ? `failed: ${failed} checks` : "ok: the browser packages run in a browser");
process.exitCode = failed ? 1 : 0;
