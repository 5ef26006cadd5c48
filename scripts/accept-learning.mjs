#!/usr/bin/env node
/**
 * node scripts/accept-learning.mjs [--seeds 1,2,3] [--steps N] [--episodes N] [--only NAME] [--out DIR]
 *                                                                                   (or: pnpm accept:learning)
 *
 * Whether training teaches. Size tiny on generated demonstrations, per seed: a model with knowledge insulation (`ki`), one
 * of which only the expert is trained (`expert-only`), and one whose action loss reaches the VLM (`no-stop-gradient`).
 * Prints mean absolute errors of the actions on held-out scenes as a Markdown table, and exits 1 unless the insulated
 * model's is at most 0.6 of an untrained model's, of its own with black cameras, and of its own with another episode's
 * instruction. The default takes a night on two cores; runs lie in OUT and are continued where they stopped.
 */
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build, root, run } from "./lib/workspace.mjs";

const LIMIT = 0.6;
const RUNS = {
  ki: [],
  "expert-only": ["--set", "model.knowledgeInsulation=false", "--set", "train=expert"],
  "no-stop-gradient": ["--set", "insulate=false"],
};
/** Columns: the report's key and its head. Those with a limit bound the insulated model's error. */
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
    steps: { type: "string", default: "20000" },
    episodes: { type: "string", default: "512" },
    only: { type: "string" },
    out: { type: "string", default: join(homedir(), ".cache/insula/accept-learning") },
  },
});
const names = args.only ? [args.only] : Object.keys(RUNS);
const unknown = names.find((name) => !RUNS[name]);
if (unknown) throw new Error(`no run '${unknown}'; there are ${Object.keys(RUNS).join(", ")}`);

build([join(root, "apps/trainer")]);
const insula = [process.execPath, join(root, "apps/trainer/dist/cli.js")];
const out = resolve(args.out);
mkdirSync(out, { recursive: true });
const { ensureSampleData } = await import(join(root, "packages/sample-data/dist/index.js"));
const { datasetDir } = await ensureSampleData(out, undefined, { episodes: Number(args.episodes) });

const rows = [];
for (const seed of args.seeds.split(",")) {
  for (const name of names) {
    const dir = join(out, `${name}-${seed}-${args.episodes}-${args.steps}`);
    console.error(`${name}, seed ${seed}: ${dir}`);
    run([
      ...[
        ...insula,
        "train",
        "pi05_droid_ki",
        "--size",
        "tiny",
        "--dataset",
        datasetDir,
        "--log-dir",
        dir,
        "--resume",
      ],
      ...["--num-train-steps", args.steps, "--batch-size", "16", "--seed", seed],
      // A quarter of the image tokens: objects are still a dozen pixels wide.
      ...["--set", "model.imageSize=112", ...RUNS[name]],
    ]);
    const report = JSON.parse(
      run([...insula, "evaluate", "--checkpoint", dir, "--stride", "10", "--ablations", "--json"]),
    );
    const errors = COLUMNS.map(({ key }) => mean(report[key]));
    rows.push({ name, seed, errors });
  }
}

const cells = (list) => `| ${list.join(" | ")} |`;
console.log(cells(["model", "seed", ...COLUMNS.map(({ head }) => head)]));
console.log(cells(["---", "---", ...COLUMNS.map(() => "---:")]));
for (const { name, seed, errors } of rows)
  console.log(cells([name, seed, ...errors.map((x) => x.toFixed(4))]));

const insulated = rows.filter(({ name }) => name === "ki");
let failed = 0;
for (const [c, { head, bounds }] of COLUMNS.entries()) {
  if (!bounds || insulated.length === 0) continue;
  const ratio =
    mean(insulated.map(({ errors }) => errors[0])) / mean(insulated.map(({ errors }) => errors[c]));
  const ok = ratio <= LIMIT;
  if (!ok) failed += 1;
  console.log(`${ok ? "ok    " : "failed"} trained / ${head}: ${ratio.toFixed(3)} (at most ${LIMIT})`);
}
process.exitCode = failed > 0 ? 1 : 0;

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
