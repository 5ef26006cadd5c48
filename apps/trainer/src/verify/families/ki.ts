/**
 * @file Goldens of knowledge insulation: both losses, masks, every gradient in one pass and in two, the
 * weighting of the losses, and optimizer steps through the session that `insula train` runs.
 */
import { isExpert, type ParamTree } from "@insula/ki-model";
import type { ModelConfig, NdArray } from "@insula/model-types";
import type { Tensor } from "@insula/ort-session";
import { type ModelCase, readCase } from "../model/case.js";
import { artifactOf, globalNorm, runTaps, runTraining, type TrainingResult } from "../model/graphs.js";
import { columns, validOf } from "../model/rows.js";
import { verifySteps } from "../model/steps.js";
import { ACTIVATION, EXACT, GRADIENT, GRADIENT_NORM, LOSS } from "../tolerance.js";
import { missingInput, type Unit } from "../unit.js";
import type { Family } from "./family.js";
import { plain } from "./model.js";

const OUT = "outputs.safetensors";
const CONFIG = "config.json";
/** The other weighting that is verified: `total = action + λ · fast`. */
const LAMBDA = 0.5;
/** One-pass results take the golden's own file names; two-pass ones lie in a folder beside. */
const FOLDER = { "one-pass": "", "two-pass": "two-pass/" } as const;

export const kiFamily: Family = {
  name: "ki",
  claim(dir, files) {
    if (!/(^|\/)ki\/[^/]*$/.test(dir) || !files.includes(CONFIG) || !files.includes("inputs.safetensors"))
      return [];
    const known =
      /^(config\.json|mutants\.json|(inputs|outputs|params|grads_\w+|adamw_\w+|ema_\w+)\.safetensors)$/;
    return [files.filter((f) => known.test(f))];
  },
  async verify(unit) {
    const model = await readCase(unit, true);
    const { tokenArMask, tokenLossMask } = model.batch.observation;
    if (!tokenArMask || !tokenLossMask)
      throw missingInput("token_ar_mask and token_loss_mask in inputs.safetensors");
    for (const key of ["one_pass_vs_two_pass", "one_vs_two_pass_param_noise_after_3_quick_steps"]) {
      unit.used(CONFIG, key); // the reference compared with itself
    }
    if (unit.has("mutants.json"))
      unit.skip("mutants.json", undefined, "losses of wrong models, on other inputs");
    const onePass = await verifyForm(unit, model, "one-pass");
    await verifyForm(unit, model, "two-pass");
    putSums(unit, onePass);
    await verifySteps(unit, model, onePass.whole.gradients);
  },
};

/** Losses and gradients with λ = 1 and with λ = {@link LAMBDA}. */
interface FormResult {
  whole: TrainingResult;
  weighted: TrainingResult;
}

/** Both losses, every gradient and the inner values of one form of the graph. */
async function verifyForm(unit: Unit, model: ModelCase, kiForm: ModelConfig["kiForm"]): Promise<FormResult> {
  const at = FOLDER[kiForm];
  const run = (lambda: number) =>
    runTraining(artifactOf(model, { changes: { kiForm, kiFastTokenLossWeight: lambda } }), model);
  const whole = await run(1);
  const { losses, gradients } = whole;
  if (kiForm === "one-pass") {
    unit.putValue(CONFIG, ["fast_loss"], losses.fast_loss, LOSS);
    unit.putValue(CONFIG, ["action_loss"], losses.action_loss, LOSS);
    unit.putValue(CONFIG, ["total", "1.0"], losses.total, LOSS);
  } else {
    const like = unit.json(CONFIG);
    for (const key of ["fast_loss", "action_loss"] as const) {
      const expected = like[key];
      if (typeof expected !== "number") continue;
      unit.put(`${at}${OUT}`, key, scalar(losses[key]!), LOSS, { expected: scalar(expected) });
    }
  }
  for (const [path, value] of gradients) {
    const file = gradientFile(path);
    const expected = unit.tensors(file).get(path);
    unit.put(`${at}${file}`, path, value, GRADIENT, {
      group: `${at}${file.replace(".safetensors", "")}/*`,
      ...(expected ? { expected } : {}),
    });
  }
  putTaps(unit, model, at, await runTaps(model, (name) => !name.startsWith("siglip/"), { kiForm }));
  const weighted = await run(LAMBDA);
  putWeighted(unit, at, weighted);
  return { whole, weighted };
}

/** VLM gradients come of the FAST loss, the expert's of the action loss; nothing else exists. */
function gradientFile(path: string): string {
  return isExpert(path) ? "grads_action.safetensors" : "grads_fast.safetensors";
}

function putTaps(
  unit: Unit,
  { config, batch }: ModelCase,
  at: string,
  taps: ReadonlyMap<string, Tensor>,
): void {
  const golden = unit.tensors(OUT);
  const put = (name: string, tap: string, tolerance = ACTIVATION, rows?: Uint8Array) => {
    const expected = golden.get(name);
    unit.put(`${at}${OUT}`, name, plain(taps.get(tap)!), tolerance, {
      ...(rows ? { rows } : {}),
      ...(expected ? { expected } : {}),
    });
  };
  for (const name of ["x_t", "u_t", "v_t"]) put(name, name);
  put("action_loss_per_step", "action_loss_per_step", LOSS);
  put("fast_loss_per_example", "fast_loss_per_example", LOSS);
  const mask = batch.observation.tokenizedPromptMask!;
  put("logits", "logits", ACTIVATION, columns(mask, 0, config.maxTokenLen - 1));
  put("attn_mask_vlm", "attn_mask_vlm", EXACT);
  put("attn_mask_onepass", "attn_mask", EXACT);
  put("attn_mask_pass2", "attn_mask_pass2", EXACT);
  put("positions_vlm", "positions_vlm", EXACT);
  put("positions_onepass", "positions", EXACT);
  // In the second pass FAST rows are padding: what they hold there is arbitrary.
  put("positions_pass2", "positions", EXACT, Uint8Array.from(validOf(taps.get("attn_mask_pass2")!).data));
  if (at === "") {
    const perExample = Array.from(taps.get("fast_loss_per_example")!.data, Number);
    unit.putValue(CONFIG, ["fast_loss_per_example"], perExample, LOSS);
  }
}

/** With another λ: the action gradients as they are, the FAST gradients times λ. */
function putWeighted(unit: Unit, at: string, { losses, gradients }: TrainingResult): void {
  const folder = `${at}lambda_${LAMBDA}/`;
  const { fast_loss, action_loss } = unit.json(CONFIG) as { fast_loss?: number; action_loss?: number };
  if (fast_loss !== undefined && action_loss !== undefined) {
    const expected = scalar(action_loss + LAMBDA * fast_loss);
    unit.put(`${folder}${OUT}`, "total", scalar(losses.total), LOSS, { expected });
  }
  for (const [path, value] of gradients) {
    const file = gradientFile(path);
    const unweighted = unit.tensors(file).get(path);
    const factor = isExpert(path) ? 1 : LAMBDA;
    unit.put(`${folder}${file}`, path, value, GRADIENT, {
      group: `${folder}${file.replace(".safetensors", "")}/*`,
      ...(unweighted ? { expected: scaled(unweighted, factor) } : {}),
    });
  }
}

/** Sums and norms that the reference gives of the two losses and their gradients. */
function putSums(unit: Unit, { whole, weighted }: FormResult): void {
  const { losses, gradients } = whole;
  const fast = globalNorm(gradients, (path) => !isExpert(path));
  const action = globalNorm(gradients, isExpert);
  const norms = {
    fast,
    action,
    total_1: Math.hypot(fast, action),
    total_0_5: Math.hypot(fast, 0.5 * action),
  };
  for (const [key, norm] of Object.entries(norms))
    unit.putValue(CONFIG, ["grad_norm", key], norm, GRADIENT_NORM);
  // The reference's other total halves the action loss.
  unit.putValue(CONFIG, ["total", "0.5"], 0.5 * losses.action_loss! + losses.fast_loss!, LOSS);
  // λ is a power of two, so both runs round alike and the two parts separate exactly.
  const actionOnVlm = largest(
    whole.gradients,
    weighted.gradients,
    (g1, gl) => (gl - LAMBDA * g1) / (1 - LAMBDA),
    (path) => !isExpert(path),
  );
  const fastOnExpert = largest(
    whole.gradients,
    weighted.gradients,
    (g1, gl) => (g1 - gl) / (1 - LAMBDA),
    isExpert,
  );
  unit.putValue(CONFIG, ["action_grad_on_vlm_max_abs"], actionOnVlm, EXACT);
  unit.putValue(CONFIG, ["fast_grad_on_expert_max_abs"], fastOnExpert, EXACT);
}

/** Largest magnitude of a combination of two gradient trees over the parameters that `wanted` names. */
function largest(
  a: ParamTree,
  b: ParamTree,
  combine: (a: number, b: number) => number,
  wanted: (path: string) => boolean,
): number {
  let max = 0;
  for (const [path, { data }] of a) {
    if (!wanted(path)) continue;
    const other = b.get(path)!.data;
    for (let i = 0; i < data.length; i++) max = Math.max(max, Math.abs(combine(data[i]!, other[i]!)));
  }
  return max;
}

function scalar(x: number): NdArray<Float64Array> {
  return { data: Float64Array.of(x), shape: [] };
}

function scaled({ data, shape }: NdArray, factor: number): NdArray<Float64Array> {
  return { data: Float64Array.from(data as Float32Array, (x) => x * factor), shape };
}
