/** @file Goldens of the optimizer alone (given gradients; clip, weight decay, EMA) and of the schedules. */
import { buildOptimizer, type Trainable } from "@insula/ki-model";
import { serialize } from "@insula/onnx-grad";
import { createSession, type Tensor, tensor, zerosTensor } from "@insula/ort-session";
import type { FileTensor } from "@insula/safetensors";
import { type LrSchedule, learningRate } from "../../schedule.js";
import { cosineSchedule, type ScheduleJson } from "../model/steps.js";
import { FLOAT32, GRADIENT_NORM, PARAMETER } from "../tolerance.js";
import { missingInput, type Unit } from "../unit.js";
import { claimFiles, type Family } from "./family.js";

const FILE = "adamw.safetensors";
const JSON_FILE = "adamw.json";

interface AdamwJson {
  runs?: Record<
    string,
    { weight_decay: number; clip: number; schedule: ScheduleJson; b1?: number; b2?: number; eps?: number }
  >;
  schedules?: Record<string, { cfg: ScheduleCfg; lr?: Record<string, number> }>;
  ema_decay?: number;
}

type ScheduleCfg = ScheduleJson | { warmup_steps: number; peak_lr: number; timescale: number };

export const adamwFamily: Family = {
  name: "adamw",
  perFile: true,
  claim: claimFiles([JSON_FILE, FILE]),
  async verify(unit) {
    const { runs = {}, schedules = {}, ema_decay: emaDecay = 0.99 } = unit.json(JSON_FILE) as AdamwJson;
    unit.used(JSON_FILE, "versions", "formula", "ema_decay", "runs", "schedules");
    for (const [name, { cfg, lr = {} }] of Object.entries(schedules)) putSchedule(unit, name, cfg, lr);
    if (!unit.has(FILE)) throw missingInput(FILE);
    if (!unit.has(JSON_FILE)) throw missingInput(JSON_FILE);
    for (const [name, run] of Object.entries(runs)) await verifyRun(unit, name, { emaDecay, ...run });
  },
};

/** Compared relative to the table's largest rate: float32 schedules are off by the rounding of their peak. */
function putSchedule(unit: Unit, name: string, cfg: ScheduleCfg, golden: Record<string, number>): void {
  const schedule: LrSchedule =
    "timescale" in cfg
      ? { type: "rsqrt", warmupSteps: cfg.warmup_steps, peakLr: cfg.peak_lr, timescale: cfg.timescale }
      : cosineSchedule(cfg);
  for (const step of Object.keys(golden)) {
    unit.putValue(
      JSON_FILE,
      ["schedules", name, "lr", step],
      learningRate(schedule, Number(step)),
      { atol: FLOAT32.rtol! * cfg.peak_lr },
      {
        group: `adamw/schedules/${name}/*`,
      },
    );
  }
}

interface RunOptions {
  weight_decay: number;
  clip: number;
  schedule: ScheduleJson;
  emaDecay: number;
  b1?: number;
  b2?: number;
  eps?: number;
}

async function verifyRun(unit: Unit, run: string, options: RunOptions): Promise<void> {
  const golden = unit.tensors(FILE);
  const start = treeAt(golden, `${run}/params0/`);
  const count = [...golden.keys()].reduce((n, key) => Math.max(n, Number(gradientStep(key, run) ?? 0)), 0);
  if (start.size === 0 || count === 0)
    throw missingInput(`tensors ${run}/params0/* and ${run}/grads*/* in ${FILE}`);
  unit.used(FILE, ...[...start.keys()].map((n) => `${run}/params0/${n}`));
  const params = [...start].map(
    ([name, { shape }]): Trainable => ({ name, path: name, shape, group: "vlm" }),
  );
  const { graph, outputs } = buildOptimizer(params, {
    b1: options.b1 ?? 0.9,
    b2: options.b2 ?? 0.95,
    eps: options.eps ?? 1e-8,
    weightDecay: options.weight_decay,
    clipGradientNorm: options.clip,
    emaDecay: options.emaDecay,
  });
  const { bytes } = serialize(graph, outputs, { name: "optimizer_model" });
  const session = await createSession(bytes, unit.backend);
  const state: Record<string, Tensor> = {};
  for (const [name, { data, shape }] of start) {
    state[name] = tensor(data, shape);
    state[`ema/${name}`] = tensor(data, shape);
    for (const moment of ["mu", "nu"]) state[`${moment}/${name}`] = zerosTensor("float32", shape);
  }
  const norms: number[] = [];
  for (let step = 1; step <= count; step++) {
    const feeds: Record<string, Tensor> = {
      ...state,
      lr: tensor(Float32Array.of(learningRate(cosineSchedule(options.schedule), step - 1)), []),
      step: tensor(Float32Array.of(step), []),
      loss: tensor(Float32Array.of(0), []), // any finite one
    };
    for (const [name, { data, shape }] of treeAt(golden, `${run}/grads${step}/`)) {
      unit.used(FILE, `${run}/grads${step}/${name}`);
      feeds[`grad/${name}`] = tensor(data, shape);
    }
    const out = await session.run(feeds);
    for (const name of Object.keys(state)) state[name] = out[`new/${name}`]!;
    norms.push(Number(out["grad_norm"]!.data[0]));
    for (const { name } of params) {
      const group = (what: string) => ({ group: `adamw/${run}/${what}*/*` });
      unit.put(FILE, `${run}/params${step}/${name}`, state[name]!, PARAMETER, group("params"));
      unit.put(FILE, `${run}/ema${step}/${name}`, state[`ema/${name}`]!, PARAMETER, group("ema"));
    }
  }
  await session.release();
  const group = { group: `adamw/runs/${run}/grad_norms/*` };
  for (const [i, norm] of norms.entries()) {
    unit.putValue(JSON_FILE, ["runs", run, "grad_norms", String(i)], norm, GRADIENT_NORM, group);
  }
}

function gradientStep(key: string, run: string): string | undefined {
  return key.startsWith(`${run}/grads`) ? /^\d+/.exec(key.slice(`${run}/grads`.length))?.[0] : undefined;
}

function treeAt(tensors: ReadonlyMap<string, FileTensor>, prefix: string): Map<string, FileTensor> {
  return new Map(
    [...tensors].filter(([n]) => n.startsWith(prefix)).map(([n, t]) => [n.slice(prefix.length), t]),
  );
}
