#!/usr/bin/env node
/**
 * node scripts/accept-learning.mjs [--seeds 1,2,3] [--steps N] [--episodes N] [--only NAME] [--out DIR]
 *                                                                                   (or: pnpm accept:learning)
 *
 * Whether training teaches. Size tiny on generated demonstrations, per seed: a model with knowledge insulation (`ki`), one
 * of which only the expert is trained (`expert-only`), and one whose action loss reaches the VLM (`no-stop-gradient`).
 * Prints mean absolute errors of the actions on held-out scenes as a Markdown table, and exits 1 unless the insulated
 * model's is at most 0.6 of an untrained model's, of its own with black cameras, and of its own with another episode's
 * instruction. One run per core at a time, about an hour on two cores; runs lie in OUT and are continued where they
 * stopped.
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { availableParallelism, homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build, root } from "./lib/workspace.mjs";

const LIMIT = 0.6;
/**
 * What makes from-scratch learning affordable. One look of 28 × 28 pixels per camera: where things are is then a linear
 * function of a token, and nothing has to be found by attention first. Chunks of 10 steps, as openpi fine-tunes LIBERO. A
 * layer more than tiny has: one to read the state, one to bring it to the actions, one to act. Four draws of noise per
 * pass of the VLM.
 */
const RECIPE = {
  "model.imageSize": 28,
  "model.siglip.patchSize": 28,
  "model.vlm.depth": 3,
  "model.expert.depth": 3,
  "model.actionHorizon": 10,
  "model.maxTokenLen": 64,
  lossRows: 48,
  flowDraws: 4,
  batchSize: 16,
  "validation.interval": null,
  histogramInterval: null,
};
const RUNS = {
  ki: {},
  "expert-only": { "model.knowledgeInsulation": false, train: "expert" },
  "no-stop-gradient": { insulate: false },
};
/** Columns: the report's key and its head. Those that bound are the insulated model's to beat. */
const COLUMNS = [
  { key: "trained", head: "trained" },
  { key: "untrained", head: "untrained", bounds: true },
  { key: "withoutImages", head: "blind", bounds: true },
  { key: "otherPrompts", head: "prompt-shuffled", bounds: true },
  { key: "meanAction", head: "mean action" },
];
const { values: args } = parseArgs({
  options: {
    seeds: { type: "string", default: "1,2,3" },
    steps: { type: "string", default: "12000" },
    episodes: { type: "string", default: "512" },
    only: { type: "string" },
    out: { type: "string", default: join(homedir(), ".cache/insula/accept-learning") },
  },
});
const names = args.only ? [args.only] : Object.keys(RUNS);
const unknown = names.find((name) => !RUNS[name]);
if (unknown) throw new Error(`no run '${unknown}'; there are ${Object.keys(RUNS).join(", ")}`);

build([join(root, "apps/trainer")]);
const out = resolve(args.out);
mkdirSync(out, { recursive: true });
const { ensureSampleData, sampleDataVersion } = await import(
  join(root, "packages/sample-data/dist/index.js")
);
const options = { episodes: Number(args.episodes) };
const { datasetDir } = await ensureSampleData(out, undefined, options);

const todo = args.seeds.split(",").flatMap((seed) => names.map((name) => ({ name, seed })));
const rows = await pooled(todo, availableParallelism(), async ({ name, seed }) => {
  const dir = join(out, [name, seed, sampleDataVersion(options), args.steps].join("-"));
  console.error(`${name}, seed ${seed}: ${dir}`);
  const set = Object.entries({ ...RECIPE, ...RUNS[name] }).flatMap(([k, v]) => ["--set", `${k}=${v}`]);
  const where = ["--size", "tiny", "--dataset", datasetDir, "--log-dir", dir];
  const length = ["--num-train-steps", args.steps, "--seed", seed, "--threads", "1"];
  const started = performance.now();
  await insula(["train", "pi05_droid_ki", "--resume", ...where, ...length, ...set]);
  const minutes = (performance.now() - started) / 60_000;
  const look = ["--stride", "10", "--ablations", "--threads", "1", "--json"];
  const report = JSON.parse(await insula(["evaluate", "--checkpoint", dir, ...look]));
  console.error(`${name}, seed ${seed}: trained in ${minutes.toFixed(1)} minutes`);
  return { name, seed, errors: COLUMNS.map(({ key }) => mean(report[key])) };
});

const cells = (list) => `| ${list.join(" | ")} |`;
console.log(cells(["model", "seed", ...COLUMNS.map(({ head }) => head)]));
console.log(cells(["---", "---", ...COLUMNS.map(() => "---:")]));
const line = (name, seed, errors) => cells([name, seed, ...errors.map((x) => x.toFixed(4))]);
const columnMeans = (of) => COLUMNS.map((_, c) => mean(of.map(({ errors }) => errors[c])));
for (const name of names) {
  const own = rows.filter((row) => row.name === name);
  for (const { seed, errors } of own) console.log(line(name, seed, errors));
  console.log(line(`**${name}**`, "mean", columnMeans(own)));
}

const insulated = rows.filter(({ name }) => name === "ki");
let failed = 0;
if (insulated.length > 0) {
  const [trained, ...others] = columnMeans(insulated);
  for (const [c, error] of others.entries()) {
    const { head, bounds } = COLUMNS[c + 1];
    if (!bounds) continue;
    const ok = trained / error <= LIMIT;
    if (!ok) failed += 1;
    const ratio = (trained / error).toFixed(3);
    console.log(`${ok ? "ok    " : "failed"} trained / ${head}: ${ratio} (at most ${LIMIT})`);
  }
}
process.exitCode = failed > 0 ? 1 : 0;

/** `work` for each item, `width` at a time; results in the items' order. */
async function pooled(items, width, work) {
  const results = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i]);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}

/** The insula command; resolves to what it printed, rejects with what it said. */
function insula(words) {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [join(root, "apps/trainer/dist/cli.js"), ...words]);
    let printed = "";
    let said = "";
    child.stdout.on("data", (data) => (printed += data));
    child.stderr.on("data", (data) => (said += data));
    child.on("error", fail);
    child.on("close", (code) => {
      if (code === 0) done(printed);
      else fail(new Error(`insula ${words.join(" ")}: exit code ${code}\n${printed}\n${said}`));
    });
  });
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
