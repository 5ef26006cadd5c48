#!/usr/bin/env node
/**
 * node scripts/check-tokenizers-python.mjs [--keep DIR]
 *
 * FAST tokenizers between us and Python, both ways, with stock `tokenizers`, `huggingface_hub` and scipy from PyPI in a
 * fresh virtual environment: folders that we fit and save load there and give our ids for chunks that neither fit has
 * seen; a folder that Python trains and saves gives its ids here, and trained on the same chunks the two have the same
 * merges; a repository that we download lies in the hub's cache where Python looks for it. Half a minute.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, root, run } from "./lib/workspace.mjs";

const { values: args } = parseArgs({ options: { keep: { type: "string" } } });
const dir = args.keep ?? mkdtempSync(join(tmpdir(), "insula-tokenizers-"));
let failed = 0;
try {
  build([join(root, "packages/fast-tokenizer")]);
  const dist = join(root, "packages/fast-tokenizer/dist");
  const { FastActionTokenizer, fitFastTokenizer } = await import(join(dist, "index.js"));
  const { loadFastTokenizer, saveFastTokenizer } = await import(join(dist, "node.js"));
  const python = makeVenv(join(dir, "venv"));

  const chunks = walks(700);
  const [seen, unseen] = [chunks.slice(0, 600), chunks.slice(600)];
  const fits = {
    "alphabet as seen": { vocabSize: 1024, scale: 10 },
    "all bytes": { vocabSize: 1024, scale: 10, byteAlphabet: true },
    "finer, larger": { vocabSize: 2048, scale: 50, byteAlphabet: true },
  };
  const job = { chunks: chunks.map(({ data }) => [...data]), shape: [16, 8], seen: seen.length, folders: {} };
  const ours = new Map();
  for (const [i, [name, options]] of Object.entries(fits).entries()) {
    const folder = join(dir, `ours-${i}`);
    await saveFastTokenizer(folder, fitFastTokenizer(seen, options));
    const tokenizer = await loadFastTokenizer(folder, { outOfAlphabet: "drop" });
    ours.set(name, { tokenizer, ids: unseen.map((chunk) => [...tokenizer.encode(chunk)]) });
    job.folders[name] = folder;
  }
  job.trained = join(dir, "theirs");
  job.cache = join(dir, "hub");
  const hub = await startHub(job.folders["all bytes"]);
  await loadFastTokenizer("insula/fast", { hub: { cacheDir: job.cache, endpoint: hub.url, offline: false } });
  hub.close();
  writeFileSync(join(dir, "job.json"), JSON.stringify(job));
  const found = JSON.parse(run([python, join(root, "scripts/lib/run_tokenizers.py"), join(dir, "job.json")]));

  console.log(`tokenizers ${found.tokenizers} in Python against @insula/fast-tokenizer`);
  for (const [name, { tokenizer, ids }] of ours) {
    const theirs = found.folders[name];
    const differing = ids.filter((list, i) => String(list) !== String(theirs.ids[i])).length;
    report(
      `saved here, loaded there (${name}): ids of ${ids.length} chunks`,
      differing === 0 && ids.length === 100,
    );
    const decoded = ids.map((list) => tokenizer.decode(list, { horizon: 16, dim: 8, onError: "upstream" }));
    const worst = Math.max(...decoded.map(({ actions }, i) => distance(actions.data, theirs.decoded[i])));
    report(`saved here, decoded there (${name}): largest difference ${worst.toExponential(1)}`, worst < 1e-9);
  }
  const theirs = await loadFastTokenizer(job.trained, { outOfAlphabet: "drop" });
  const same = unseen.filter(
    (chunk, i) => String([...theirs.encode(chunk)]) === String(found.trained[i]),
  ).length;
  report(`trained there, loaded here: ids of ${same} of ${unseen.length} chunks`, same === unseen.length);
  const json = (folder) => JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8")).model;
  const [a, b] = [json(job.folders["alphabet as seen"]), json(job.trained)];
  report(`trained on the same chunks: ${a.merges.length} merges`, String(a.merges) === String(b.merges));
  report("trained on the same chunks: vocabulary", sorted(a.vocab) === sorted(b.vocab));

  report(
    "downloaded here, found in the cache by huggingface_hub",
    found.hub_file === readFileSync(join(job.folders["all bytes"], "tokenizer.json"), "utf8"),
  );
  const cached = await loadFastTokenizer("insula/fast", { hub: { cacheDir: job.cache, offline: true } });
  const again = new FastActionTokenizer(cached.files).encode(unseen[0]);
  report("and here, offline", String([...again]) === String(ours.get("all bytes").ids[0]));
  console.log(failed ? `failed: ${failed} checks` : "ok: the same ids both ways");
} finally {
  if (!args.keep) rmSync(dir, { recursive: true });
}
process.exitCode = failed ? 1 : 0;

function report(what, ok) {
  if (!ok) failed++;
  console.log(`${ok ? "ok    " : "failed"} ${what}`);
}

function distance(a, b) {
  return a.length === b.length ? Math.max(...a.map((x, i) => Math.abs(x - b[i]))) : Number.POSITIVE_INFINITY;
}

function sorted(vocab) {
  return JSON.stringify(Object.entries(vocab).sort((a, b) => a[1] - b[1]));
}

/** Random walks `[16, 8]` within −1…1, some of them still in a dimension, as robots are. */
function walks(count) {
  let state = 7;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return Array.from({ length: count }, () => {
    const data = new Float64Array(16 * 8);
    for (let d = 0; d < 8; d++) {
      const step = random() < 0.2 ? 0 : 0.3 * random();
      let x = 2 * random() - 1;
      for (let t = 0; t < 16; t++) {
        data[t * 8 + d] = Math.min(1, Math.max(-1, x));
        x += step * (random() - 0.5);
      }
    }
    return { data, shape: [16, 8] };
  });
}

/** A server that plays the hub for `insula/fast`, whose files are those of `folder`. */
async function startHub(folder) {
  const commit = "c".repeat(40);
  const file = (name) => {
    const content = readFileSync(join(folder, name));
    const oid = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
    return { content, info: { type: "file", path: name, size: content.length, oid } };
  };
  const files = new Map(["tokenizer.json", "processor_config.json"].map((name) => [name, file(name)]));
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { pathname } = new URL(request.url, "http://hub");
    const json = (value) => response.setHeader("Content-Type", "application/json").end(JSON.stringify(value));
    if (pathname === "/api/models/insula/fast/revision/main")
      return json({ _id: "1", id: "insula/fast", sha: commit });
    if (pathname === `/api/models/insula/fast/paths-info/${commit}`) {
      return json(JSON.parse(body).paths.flatMap((name) => files.get(name)?.info ?? []));
    }
    const { content } = files.get(pathname.replace(`/insula/fast/resolve/${commit}/`, ""));
    response.setHeader("ETag", '"e"');
    if (request.headers.range === undefined) return response.end(content);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range);
    response.writeHead(206, { "Content-Range": `bytes ${from}-${to}/${content.length}` });
    response.end(content.subarray(Number(from), Number(to) + 1));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** A virtual environment with `tokenizers`; returns its python. */
function makeVenv(venv) {
  run(["python3", "-m", "venv", venv]);
  const python = join(venv, "bin/python");
  run([python, "-m", "pip", "install", "--quiet", "tokenizers", "huggingface_hub", "numpy", "scipy"]);
  return python;
}
