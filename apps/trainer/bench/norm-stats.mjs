/**
 * Normalisation statistics of ten million rows, beside numpy: seconds and peak memory of whole processes. Rounds
 * alternate; the best of each counts.
 *
 *     pnpm bench norm-stats [--python PYTHON] [--shared DIR] [--rows 10000000] [--rounds 3] [--keep DIR] [--json]
 *
 * The peer is `baselines/norm_stats.py` of the shared folder (numpy, pyarrow); it also makes the data, a column of
 * [rows, 8] floats, skewed and constant dims included. Ours reads the same file as a LeRobot dataset: the column alone
 * (like for like), and `insula norm-stats` on a dataset with state and actions, 16 numbers a row. About a minute;
 * needs about 1 GB of temporary space and the shared folder.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: args } = parseArgs({
  options: {
    python: { type: "string", default: process.env.INSULA_PYTHON ?? "python3" },
    shared: {
      type: "string",
      default: process.env.INSULA_SHARED ?? resolve(import.meta.dirname, "../../../../shared"),
    },
    rows: { type: "string", default: "10000000" },
    rounds: { type: "string", default: "3" },
    keep: { type: "string" },
    json: { type: "boolean", default: false },
    // What the child processes run.
    column: { type: "string" },
    command: { type: "string" },
  },
});

if (args.column) await columnAlone(args.column);
else if (args.command) await wholeCommand(args.command);
else await compare();

/** One column, through the packages' public functions. */
async function columnAlone(dir) {
  const t0 = performance.now();
  const { openLeRobotDataset, scanEpisodes } = await import("@insula/lerobot-dataset");
  const { createRunningStats, getStatistics, updateRunningStats } = await import("@insula/transforms");
  const dataset = await openLeRobotDataset(dir, { cameras: [] });
  const stats = createRunningStats();
  for await (const { columns } of scanEpisodes(dataset, ["actions"])) {
    updateRunningStats(stats, columns.actions);
  }
  report(t0, stats.count, getStatistics(stats, { minMax: true }));
}

/** The command: checks, state and actions, the file. */
async function wholeCommand(dir) {
  const t0 = performance.now();
  const { runCli } = await import("../dist/index.js");
  const io = { out: () => {}, err: (line) => process.stderr.write(`${line}\n`) };
  const code = await runCli(
    [
      "norm-stats",
      "pi05_droid_ki",
      "--dataset",
      dir,
      "--out",
      join(dir, "assets"),
      "--set",
      "data.heldOut=0",
    ],
    io,
  );
  if (code) process.exit(code);
  report(t0, Number(args.rows), {});
}

function report(t0, rows, stats) {
  const seconds = (performance.now() - t0) / 1000;
  const peak_rss_mb = process.resourceUsage().maxRSS / 1024;
  const lists = Object.fromEntries(Object.entries(stats).map(([k, v]) => [k, [...v]]));
  console.log(JSON.stringify({ rows, seconds, peak_rss_mb, ...lists }));
}

async function compare() {
  const peer = join(args.shared, "baselines", "norm_stats.py");
  if (!existsSync(peer)) throw new Error(`no ${peer}: give the shared folder with --shared DIR`);
  const home = args.keep ?? mkdtempSync(join(tmpdir(), "insula-norm-stats-"));
  mkdirSync(home, { recursive: true });
  try {
    const file = join(home, "big.parquet");
    if (!existsSync(file)) run(args.python, [peer, "make", file, "--rows", args.rows]);
    const [column, whole] = [join(home, "column"), join(home, "droid")];
    if (!existsSync(whole)) run(args.python, [join(import.meta.dirname, "norm_stats_sets.py"), file, home]);
    const self = fileURLToPath(import.meta.url);
    const rows = ["--rows", args.rows];
    const kinds = {
      numpy: () => run(args.python, [peer, "run", file]),
      "ours, the same column": () => run(process.execPath, [self, "--column", column, ...rows]),
      "ours, insula norm-stats (state and actions)": () =>
        run(process.execPath, [self, "--command", whole, ...rows]),
    };
    const found = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
    for (let i = 0; i < Number(args.rounds); i++) {
      for (const [kind, once] of Object.entries(kinds)) found[kind].push(JSON.parse(once()));
    }
    const best = Object.entries(found).map(([name, some]) => ({
      name,
      seconds: Math.min(...some.map((r) => r.seconds)),
      peakMb: Math.max(...some.map((r) => r.peak_rss_mb)),
    }));
    agree(found.numpy[0], found["ours, the same column"][0]);
    if (args.json) console.log(JSON.stringify(best));
    else {
      console.log(`statistics of ${args.rows} rows of 8 numbers, best of ${args.rounds}`);
      for (const b of best)
        console.log(`  ${b.name.padEnd(46)}${b.seconds.toFixed(2)} s  ${b.peakMb.toFixed(0)} MB`);
    }
  } finally {
    if (!args.keep) rmSync(home, { recursive: true, force: true });
  }
}

/** Both must have found the same numbers, quantiles to 1/8192 of the range. */
function agree(theirs, ours) {
  for (const [field, tolerance] of Object.entries({
    mean: 1e-9,
    std: 1e-9,
    min: 0,
    max: 0,
    q01: 0,
    q99: 0,
  })) {
    for (const [d, expected] of theirs[field].entries()) {
      const bin = field.startsWith("q") ? (theirs.max[d] - theirs.min[d]) / 8190 : 0;
      if (Math.abs(ours[field][d] - expected) <= tolerance + bin) continue;
      throw new Error(`${field}[${d}]: numpy found ${expected}, we found ${ours[field][d]}`);
    }
  }
}

function run(program, words) {
  const { status, stdout, stderr, error } = spawnSync(program, words, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (status === 0) return stdout;
  throw new Error(`${program} ${words.join(" ")}: ${error?.message ?? `exit ${status}`}\n${stderr ?? ""}`);
}
