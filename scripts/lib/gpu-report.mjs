/**
 * node scripts/lib/gpu-report.mjs DIR
 *
 * Puts what the steps of gpu-check.sh left in DIR (steps.tsv, NAME.out) into report.json and report.txt, and prints
 * the latter.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const dir = process.argv[2];
const read = (name) => (existsSync(join(dir, name)) ? readFileSync(join(dir, name), "utf8") : "");
/** What a step printed last, or everything, as JSON. */
const json = (step) => {
  const text = read(`${step}.out`).trim();
  for (const part of [text, text.split("\n").at(-1) ?? ""]) {
    try {
      return JSON.parse(part);
    } catch {
      // Not this one.
    }
  }
};
const steps = read("steps.tsv")
  .split("\n")
  .filter(Boolean)
  .map((line) => {
    const [name, code, seconds, what] = line.split("\t");
    const state = code === "0" ? "ok" : code === "skipped" ? "skipped" : "failed";
    return { name, state, seconds: Number(seconds), what };
  });
const last = (name) => {
  const rows = read(`${name}/metrics.jsonl`).trim().split("\n").filter(Boolean);
  if (rows.length === 0) return undefined;
  const [first, end] = [rows[0], rows.at(-1)].map((row) => JSON.parse(row));
  return { steps: rows.length, first, last: end };
};

const verify = json("verify");
const report = {
  format: "insula-gpu-check/1",
  date: new Date().toISOString(),
  node: process.version,
  steps,
  machine: json("doctor"),
  install: json("install"),
  placement: json("placement"),
  verify,
  training: { tiny: last("train-tiny"), small: last("train-small") },
  step: { small: json("step-small"), wide: json("step-wide") },
  torch: { float32: json("torch-float32"), bfloat16: json("torch-bfloat16") },
};
writeFileSync(join(dir, "report.json"), `${JSON.stringify(report, null, 1)}\n`);

const lines = [];
const section = (title) => lines.push("", title, "-".repeat(title.length));
lines.push(`GPU check, ${report.date}`);
section("steps");
for (const { name, state, seconds, what } of steps)
  lines.push(`${state.padEnd(8)}${name.padEnd(15)}${String(seconds).padStart(6)} s  ${what}`);
section("machine");
for (const { part, state, detail } of report.machine ?? [])
  lines.push(`${part.padEnd(18)}${state.padEnd(9)}${detail}`);
if (report.placement) {
  section("placement");
  const { models, nodes, provider, bad } = report.placement;
  lines.push(`${nodes} nodes of ${models} models, all but those below on ${provider}`);
  for (const m of bad) lines.push(`${m.type} ${m.name}: ${JSON.stringify(m.elsewhere)}`);
  if (bad.length === 0) lines.push("none below");
}
if (verify) {
  section("verify");
  lines.push(JSON.stringify(verify.summary ?? { ok: verify.ok, items: verify.items?.length }));
  const wrong = (verify.items ?? []).filter((i) => !i.ok);
  for (const { golden, item, maxAbs, maxRel, tolerance, note } of wrong.slice(0, 40))
    lines.push(`${golden}/${item}: max abs ${maxAbs}, max rel ${maxRel}, allowed ${tolerance} ${note ?? ""}`);
}
section("training");
for (const [size, run] of Object.entries(report.training)) {
  if (!run) continue;
  const { first, last: end } = run;
  const loss = (row) => `fast ${row.fast_loss?.toFixed(4)}, action ${row.action_loss?.toFixed(4)}`;
  lines.push(
    `${size}: ${run.steps} steps; ${loss(first)} → ${loss(end)}; ${end.samples_per_s ?? "?"} samples/s`,
  );
}
section("time of a step, memory");
const gb = (bytes) => (bytes === undefined ? "?" : `${(bytes / 1e9).toFixed(2)} GB`);
for (const one of Object.values(report.step)) {
  if (!one) continue;
  const { model, layers, batchSize, params, plan, results } = one;
  lines.push(`${model}, ${layers} layers, ${(params / 1e6).toFixed(1)} M parameters, batch ${batchSize}`);
  for (const [name, r] of Object.entries(results)) {
    const memory = `nvidia-smi's peak ${gb(r.memory?.taken)}, planned ${gb(plan.total)}`;
    lines.push(
      `  ours ${name.padEnd(10)}${r.ms_median.toFixed(2)} ms (least ${r.ms_min.toFixed(2)}); ${memory}`,
    );
  }
}
const ours = report.step.small?.results;
for (const [dtype, peer] of Object.entries(report.torch)) {
  if (!peer) continue;
  const ratio = (name) =>
    ours?.[name] ? `; ours ${name} / PyTorch ${(ours[name].ms_median / peer.ms_median).toFixed(2)}` : "";
  lines.push(
    `PyTorch ${peer.version} ${dtype}: ${peer.ms_median.toFixed(2)} ms${ratio("float32")}${ratio("tf32")}${ratio("bfloat16")}`,
  );
}
writeFileSync(join(dir, "report.txt"), `${lines.join("\n")}\n`);
console.log(lines.join("\n"));
