#!/usr/bin/env node
/**
 * pnpm check:tensorboard [--python PYTHON]
 *
 * A tiny training, killed and resumed, whose event files TensorBoard's own reader opens: scalars equal to metrics.jsonl,
 * histograms, decoded images, text. PYTHON (default python3) has the packages tensorboard and pillow. A minute.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, root } from "./lib/workspace.mjs";

const { python } = parseArgs({ options: { python: { type: "string", default: "python3" } } }).values;
build([join(root, "apps/trainer")]);
const dir = mkdtempSync(join(tmpdir(), "insula-tensorboard-"));
const run = join(dir, "run");
let failed = 0;
const check = (name, ok, found) => {
  if (!ok) failed += 1;
  console.log(`${ok ? "ok    " : "failed"} ${name}${found === undefined ? "" : `: ${found}`}`);
};

function train(...more) {
  const args = ["train", "debug_pi05_ki", "--size", "tiny", "--log-dir", run, "--set", "saveInterval=2"];
  const keep = ["--set", "maxToKeep=null"];
  const fixed = ["--set", 'lrSchedule={"type":"constant","lr":1e-3}', "--set", "emaDecay=0.5"];
  const often = ["--set", "validation.interval=2", "--set", "histogramInterval=2"];
  const cli = join(root, "apps/trainer/dist/cli.js");
  const { status, stderr } = spawnSync(
    process.execPath,
    [cli, ...args, ...keep, ...fixed, ...often, ...more],
    {
      encoding: "utf8",
    },
  );
  if (status !== 0) throw new Error(`insula train: exit ${status}\n${stderr}`);
}

try {
  train("--num-steps", "4");
  // As if killed before the second checkpoint: steps 3 and 4 are taken again, and must not show twice.
  rmSync(join(run, "checkpoints", "4"), { recursive: true });
  rmSync(join(run, "checkpoints", "best"), { force: true });
  train("--num-steps", "6", "--resume");
  const reader = join(root, "scripts/lib/read_events.py");
  const options = { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "pipe"] };
  const { scalars, histograms, images, texts } = JSON.parse(execFileSync(python, [reader, run], options));

  const rows = readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const steps = rows.filter((row) => !row.kind);
  const validations = rows.filter((row) => row.kind === "validation");
  const same = (tag, from, key) =>
    check(
      `${tag} is ${key} of metrics.jsonl`,
      JSON.stringify(scalars[tag]) === JSON.stringify(from.map((row) => [row.step, Math.fround(row[key])])),
      `${scalars[tag]?.length} values`,
    );
  same("loss/total", steps, "total");
  same("loss/fast", steps, "fast_loss");
  same("grad_norm/vlm", steps, "grad_norm_vlm");
  same("val/total", validations, "val_total");
  same("val/action_error", validations, "val_action_error");
  const dims = Object.keys(scalars).filter((tag) => tag.startsWith("val/action_error/"));
  check("an error per action dim", dims.length === 8, dims.join(", "));

  const all = Object.entries(histograms);
  check("histograms of both groups and of every parameter", all.length > 40, `${all.length} tags`);
  check(
    "each at steps 2, 4 and 6, with every value in a bucket",
    all.every(
      ([, events]) =>
        events.map((e) => e.step).join() === "2,4,6" &&
        events.every((e) => e.counted === e.num && e.ascending && e.covers && e.min <= e.max),
    ),
    `gradients/vlm counts ${histograms["gradients/vlm"]?.[0]?.num}`,
  );
  const pictures = Object.values(images).flat();
  check(
    "pictures decode, with the size that the event says",
    pictures.length === 9 && pictures.every((e) => e.said.join() === e.decoded.join() && e.colors > 100),
    pictures[0] && `${pictures.length} of ${pictures[0].decoded.join(" x ")}, ${pictures[0].colors} colors`,
  );
  const config = texts.config?.[0]?.text ?? "";
  check("the configuration is text", config.startsWith("```json\n{") && config.includes("pi05_ki"));
  check(
    "the pictures have a legend",
    (texts["val/trajectories"]?.[0]?.text ?? "").includes("Gray: recorded"),
  );
} finally {
  rmSync(dir, { recursive: true, force: true });
}
console.log(failed ? `failed: ${failed} checks` : "ok: TensorBoard reads what a run writes");
process.exitCode = failed ? 1 : 0;
