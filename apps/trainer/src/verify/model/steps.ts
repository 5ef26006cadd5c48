/**
 * @file Optimizer steps on one batch with the same draws, through `createTrainSession`: what `insula train`
 * runs, with its own learning-rate schedule.
 */
import { createTrainSession, type OptimizerOptions, type ParamTree, type TrainState } from "@insula/ki-model";
import { type CosineSchedule, learningRate } from "../../schedule.js";
import { FLOAT32, GRADIENT_NOISE, GRADIENT_NORM, LOSS, PARAMETER } from "../tolerance.js";
import type { Unit } from "../unit.js";
import type { ModelCase } from "./case.js";
import { artifactOf, globalNorm } from "./graphs.js";

/** `adamw` of a KI case's config.json. */
interface AdamwJson {
  b1: number;
  b2: number;
  eps: number;
  weight_decay: number;
  clip: number;
  ema_decay: number;
  runs: Record<string, { schedule?: ScheduleJson; steps?: readonly unknown[] }>;
}

export interface ScheduleJson {
  warmup_steps: number;
  peak_lr: number;
  decay_steps: number;
  decay_lr: number;
}

/** What the goldens ran, for a case that does not say. */
const USUAL: AdamwJson = {
  b1: 0.9,
  b2: 0.95,
  eps: 1e-8,
  weight_decay: 1e-10,
  clip: 1,
  ema_decay: 0.99,
  runs: { quick: { schedule: { warmup_steps: 2, peak_lr: 1e-3, decay_steps: 10, decay_lr: 1e-4 } } },
};
const USUAL_STEPS = 3;

/** Parameters are recorded for this run; of the others only norms. */
const RECORDED = "quick";

/** openpi's names → the trainer's schedule. */
export function cosineSchedule(s: ScheduleJson): CosineSchedule {
  return {
    type: "cosine",
    warmupSteps: s.warmup_steps,
    peakLr: s.peak_lr,
    decaySteps: s.decay_steps,
    decayLr: s.decay_lr,
  };
}

/** @param gradients of the first step, to tell parameters that move from those that follow float noise */
export async function verifySteps(unit: Unit, model: ModelCase, gradients: ParamTree): Promise<void> {
  const given = unit.json("config.json")["adamw"] as Partial<AdamwJson> | undefined;
  const adamw: AdamwJson = { ...USUAL, ...given };
  const moved = movedRows(unit, gradients);
  for (const [run, { schedule = USUAL.runs[run]?.schedule, steps }] of Object.entries(adamw.runs)) {
    if (!schedule) {
      unit.skip("config.json", `adamw/runs/${run}`, "needs the run's 'schedule', which is not there");
      continue;
    }
    const count = steps?.length ?? USUAL_STEPS;
    await verifyRun(unit, model, { run, adamw, schedule: cosineSchedule(schedule), count, moved });
  }
}

interface Run {
  run: string;
  adamw: AdamwJson;
  schedule: CosineSchedule;
  count: number;
  moved: ReadonlyMap<string, Uint8Array>;
}

async function verifyRun(
  unit: Unit,
  model: ModelCase,
  { run, adamw, schedule, count, moved }: Run,
): Promise<void> {
  const optimizer: OptimizerOptions = {
    b1: adamw.b1,
    b2: adamw.b2,
    eps: adamw.eps,
    weightDecay: adamw.weight_decay,
    clipGradientNorm: adamw.clip,
    emaDecay: adamw.ema_decay,
  };
  const session = await createTrainSession({
    artifact: artifactOf(model, { optimizer }),
    params: model.params,
    ...model.backend,
  });
  try {
    let before: ParamTree = model.params;
    for (let step = 0; step < count; step++) {
      const lr = learningRate(schedule, step);
      const metrics = await session.step(model.batch, model.draws, lr);
      const state = await session.state();
      const value = (key: string, x: number, tolerance: typeof LOSS) =>
        unit.putValue("config.json", ["adamw", "runs", run, "steps", String(step), key], x, tolerance);
      // Float32 schedules are off by their own rounding, which is relative to the peak.
      value("lr", lr, { atol: FLOAT32.rtol! * schedule.peakLr });
      value("loss_before", metrics.total, LOSS);
      value("grad_norm", metrics.grad_norm, GRADIENT_NORM);
      value("update_norm", updateNorm(state, before, lr, optimizer), GRADIENT_NORM);
      value("param_norm_after", globalNorm(state.params), FLOAT32);
      value("ema_norm_after", globalNorm(state.ema!), FLOAT32);
      putTree(unit, `adamw_${run}_step${step + 1}.safetensors`, state.params, moved, run === RECORDED);
      putTree(
        unit,
        `ema_${run}_step${step + 1}.safetensors`,
        state.ema!,
        moved,
        run === RECORDED && step === count - 1,
      );
      before = state.params;
    }
  } finally {
    await session.release();
  }
}

/** Compare where the file exists; write where the goldens have such a file. */
function putTree(unit: Unit, file: string, tree: ParamTree, moved: Run["moved"], recorded: boolean): void {
  if (!recorded && !unit.has(file)) return;
  const group = `${file.replace(".safetensors", "")}/*`;
  for (const [path, value] of tree) {
    const rows = moved.get(path);
    unit.put(file, path, value, PARAMETER, { group, ...(rows ? { rows } : {}) });
  }
}

/** 1 for each parameter whose first gradient is more than float noise; by the golden's gradients where it has them. */
function movedRows(unit: Unit, gradients: ParamTree): Map<string, Uint8Array> {
  const golden = new Map([
    ...unit.tensors("grads_fast.safetensors"),
    ...unit.tensors("grads_action.safetensors"),
  ]);
  return new Map(
    [...gradients].map(([path, own]) => {
      const data = (golden.get(path)?.data ?? own.data) as Float32Array;
      return [path, Uint8Array.from(data, (g) => (Math.abs(g) > GRADIENT_NOISE ? 1 : 0))];
    }),
  );
}

/**
 * Norm of AdamW's last update, from the moments: in the first steps of a long warm-up it is below the float32
 * resolution of the parameters, and their difference would be rounding.
 */
function updateNorm(
  { step, mu, nu }: TrainState,
  before: ParamTree,
  lr: number,
  o: OptimizerOptions,
): number {
  const [c1, c2] = [1 - o.b1 ** step, 1 - o.b2 ** step];
  let sum = 0;
  for (const [path, { data: m }] of mu) {
    const v = nu.get(path)!.data;
    const p = before.get(path)!.data;
    for (let i = 0; i < m.length; i++) {
      const update = lr * (m[i]! / c1 / (Math.sqrt(v[i]! / c2) + o.eps) + o.weightDecay * p[i]!);
      sum += update * update;
    }
  }
  return Math.sqrt(sum);
}
