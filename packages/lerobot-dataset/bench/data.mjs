/**
 * Samples per second with every camera decoded, against LeRobot's own loader, and with worker threads. Both read the
 * same frames of the same files in one thread; the two alternate, the best round of each counts.
 *
 *     pnpm bench data [--shared DIR] [--dataset droid_subset_v30] [--python PYTHON] [--backends pyav,torchcodec]
 *                     [--rounds 3] [--workers 0,1,2] [--seconds 4] [--json]
 *
 * The peer is `baselines/lerobot_loader.py` of the shared folder: PYTHON needs lerobot and a backend's libraries;
 * a backend that does not run is left out, and said so. "resized, tokenized" is what pi05_ki trains on, images at
 * 224×224; "augmented" adds what training at size full does to them. Nothing is cached. Needs a build
 * (`tsc -b`). About a minute and a half with both backends.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "../../../scripts/lib/workspace.mjs";
import { createLoader, epochOrder, openLeRobotDataset } from "../dist/index.js";

const HORIZON = 15;
const BATCH = 16;
const cores = availableParallelism();
const { values: options } = parseArgs({
  options: {
    shared: {
      type: "string",
      default: process.env.INSULA_SHARED ?? resolve(import.meta.dirname, "../../../../shared"),
    },
    dataset: { type: "string", default: "droid_subset_v30" },
    python: { type: "string", default: process.env.INSULA_PYTHON ?? "python3" },
    backends: { type: "string", default: "pyav,torchcodec" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "4" },
    workers: { type: "string", default: [0, 1, 2, 4, 8].filter((n) => n <= cores).join(",") },
    json: { type: "boolean", default: false },
  },
});
const root = join(options.shared, "data", "lerobot", options.dataset);
if (!existsSync(root)) {
  console.error(`no ${root}: give the shared folder with --shared DIR`);
  process.exit(1);
}
const rounds = Number(options.rounds);
const trainer = resolve(import.meta.dirname, "../../../apps/trainer");
build([trainer]);

const cameras = (await openLeRobotDataset(root)).cameras;
const open = (more = {}) => openLeRobotDataset(root, { frameCacheBytes: 0, cameras, ...more });

/** Every frame once, in this thread. */
async function oneThread(shuffle, finish = (sample) => sample) {
  const dataset = await open({ syncDecode: true });
  const order = shuffle
    ? epochOrder(dataset.totalFrames, 0, 0)
    : Uint32Array.from({ length: dataset.totalFrames }, (_, i) => i);
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (const [at, index] of order.entries()) {
    finish(await dataset.sample(index, { actionHorizon: HORIZON }), { batch: 0, row: at });
  }
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  await dataset.close();
  return { rate: order.length / seconds, cpu_ms: (user + system) / 1000 / order.length };
}

/** Batches for some seconds, from the second batch on: what training sees once it runs. */
async function throughLoader(numWorkers, worker, transform) {
  const dataset = await open();
  const loader = createLoader(dataset, {
    batchSize: BATCH,
    numWorkers,
    prefetch: Math.max(2, numWorkers),
    actionHorizon: HORIZON,
    ...(numWorkers > 0 && worker ? { worker } : {}),
    ...(numWorkers === 0 && transform ? { transform } : {}),
  });
  let [start, cpu] = [];
  let samples = 0;
  for await (const batch of loader) {
    if (start !== undefined) samples += batch.length;
    start ??= performance.now();
    cpu ??= process.cpuUsage();
    if (performance.now() - start > 1000 * Number(options.seconds)) break;
  }
  const rate = (1000 * samples) / (performance.now() - start);
  const { user, system } = process.cpuUsage(cpu);
  await loader.close();
  await dataset.close();
  return { rate, cpu_ms: (user + system) / 1000 / samples };
}

/** The peer's figures; undefined, with the reason told once, where it cannot run. */
const told = new Set();
function peer(backend, shuffle) {
  const script = join(options.shared, "baselines", "lerobot_loader.py");
  const args = [script, "--root", root, "--backend", backend, ...(shuffle ? ["--shuffle"] : [])];
  const { status, stdout, stderr, error } = spawnSync(options.python, args, { encoding: "utf8" });
  if (status === 0) {
    const { samples_per_s, cpu_s, samples } = JSON.parse(stdout.trim().split("\n").at(-1));
    return { rate: samples_per_s, cpu_ms: (1000 * cpu_s) / samples };
  }
  if (!told.has(backend)) {
    console.error(`no ${backend}: ${(error?.message ?? stderr).trim().split("\n").at(-1)} (--python PYTHON)`);
  }
  told.add(backend);
  return undefined;
}

/** The training pipeline, for this thread and for workers. */
async function pipelineOf(augment) {
  const load = (path) => import(join(trainer, "dist", path));
  const [
    { loadTokenizers, vocabularyRows },
    { makePipeline },
    { robotSpec },
    { augmentSample, modelSample },
  ] = await Promise.all(
    ["tokenizers", "pipeline", "robots", "load-sample"].map((name) => load(`data/${name}.js`)),
  );
  const [{ getConfig }, { resolveConfig }] = await Promise.all(
    ["registry", "resolve"].map((name) => load(`configs/${name}.js`)),
  );
  const declared = resolveConfig(getConfig("pi05_droid_ki"), {
    size: "full",
    overrides: { data: { augment, heldOut: 0 } },
  });
  const paths = {
    text: [join(options.shared, "golden/common/transforms/standin_sentencepiece.model")],
    fast: [join(options.shared, "data/fast_plus")],
  };
  const tokenizers = await loadTokenizers(paths, declared.model);
  const vocabSize = vocabularyRows(tokenizers, declared.model);
  const config = { ...declared, model: { ...declared.model, vocabSize, actionHorizon: HORIZON } };
  const file = join(options.shared, "golden/norm_stats_droid/norm_stats.json");
  const { norm_stats } = JSON.parse(readFileSync(file, "utf8"));
  const numbers = (stats) =>
    Object.fromEntries(Object.entries(stats).map(([key, list]) => [key, Float64Array.from(list)]));
  const stats = { state: numbers(norm_stats.state), actions: numbers(norm_stats.actions) };
  const spec = robotSpec("droid");
  const { tasks } = await open();
  const pipeline = makePipeline({ config, spec, stats, tokenizers, tasks });
  const data = { datasetDirs: [root], tokenizers: paths, config, stats, strict: false, cacheBytes: 0 };
  return {
    sample: (sample, slot) => augmentSample(config, modelSample(pipeline, sample), slot),
    worker: { module: new URL(`file://${join(trainer, "dist/data/load-worker.js")}`), data },
  };
}

/** The best of all rounds, by name. */
const best = {};
const keep = (name, figures) => {
  if (figures && !(best[name]?.rate >= figures.rate)) best[name] = figures;
};
const backends = options.backends.split(",").filter(Boolean);
for (let round = 0; round < rounds; round++) {
  for (const shuffle of [false, true]) {
    const order = shuffle ? "shuffled" : "in order";
    keep(`insula, ${order}`, await oneThread(shuffle));
    for (const backend of backends) keep(`lerobot ${backend}, ${order}`, peer(backend, shuffle));
  }
}
const steps = { decoded: undefined };
for (const [name, augment] of Object.entries({
  "resized, tokenized": "none",
  "resized, tokenized, augmented": "corrected",
})) {
  steps[name] = await pipelineOf(augment);
  for (let round = 0; round < rounds; round++) {
    keep(`insula, shuffled, ${name}`, await oneThread(true, steps[name].sample));
  }
}
const loaders = {};
for (const [name, step] of Object.entries(steps)) {
  loaders[name] = {};
  for (const n of options.workers.split(",").map(Number)) {
    loaders[name][n] = await throughLoader(n, step?.worker, step?.sample);
  }
}

const ratios = {};
for (const order of ["in order", "shuffled"]) {
  const theirs = Math.max(0, ...backends.map((b) => best[`lerobot ${b}, ${order}`]?.rate ?? 0));
  if (theirs > 0) ratios[order] = best[`insula, ${order}`].rate / theirs;
}
if (options.json) {
  console.log(
    JSON.stringify({ dataset: options.dataset, cameras: cameras.length, cores, best, ratios, loaders }),
  );
} else {
  console.log(`${options.dataset}, ${cameras.length} cameras; samples/s (CPU ms per sample), one thread`);
  for (const [name, { rate, cpu_ms }] of Object.entries(best)) {
    console.log(`${name.padEnd(48)} ${rate.toFixed(0).padStart(5)}  (${cpu_ms.toFixed(2)})`);
  }
  for (const [order, ratio] of Object.entries(ratios)) {
    console.log(`${`against LeRobot's fastest, ${order}`.padEnd(48)} ${ratio.toFixed(2).padStart(5)}×`);
  }
  console.log(`\nloader, batches of ${BATCH}, shuffled; samples/s (CPU ms) by numWorkers, ${cores} cores`);
  for (const [name, by] of Object.entries(loaders)) {
    const cells = Object.entries(by).map(
      ([n, { rate, cpu_ms }]) => `${n}: ${rate.toFixed(0)} (${cpu_ms.toFixed(2)})`,
    );
    console.log(`${name.padEnd(34)} ${cells.join("   ")}`);
  }
}
