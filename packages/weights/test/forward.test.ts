import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FileTensor } from "@insula/safetensors";
import { describeShared, sharedPath, sharedTensors } from "@insula/test-kit";
import { afterAll, expect, test } from "vitest";
import { importWeights } from "../src/import.js";
import { BATCH, forward, readParams, STAND_IN } from "./stand-in.js";

const dir = mkdtempSync(join(tmpdir(), "insula-weights-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** The last rows of each sample, as many as `like` has. */
function lastRows(data: Float32Array, { shape }: FileTensor): number[] {
  const [, rows, width] = shape as [number, number, number];
  const perSample = data.length / BATCH;
  return Array.from({ length: BATCH }, (_, b) => [
    ...data.subarray((b + 1) * perSample - rows * width, (b + 1) * perSample),
  ]).flat();
}

/** Source, the folder of recorded outputs, how they are named there. */
const CASES = [
  ["openpi_torch_pi05", "openpi_torch_pi05"],
  ["openpi_torch_pi0", "openpi_torch_pi0"],
  ["lerobot_pi05", "lerobot_pi05"],
  ["lerobot_pi0", "lerobot_pi0"],
  ["orbax/ckptmgr_nnxstate_ocdbt/0", "jax_pi05"],
  ["orbax/puredict_ocdbt_sharded4", "jax_pi05"],
  ["orbax/pi0_puredict_ocdbt/params", "jax_pi0"],
] as const;

describeShared("imported weights give the recorded outputs", () => {
  test.each(CASES)("%s", async (source, recorded) => {
    const file = join(dir, "params.safetensors");
    const { config } = await importWeights(
      sharedPath("golden", "weights", ...source.split("/")),
      file,
      STAND_IN,
    );
    const expected = sharedTensors("golden", "weights", recorded, "outputs.safetensors");
    const actual = await forward(config, await readParams(file));
    // The time embedding's sinusoid is float64 in PyTorch: up to 8e-5 of pi0's velocity (3.6 at most).
    expect(actual.velocity).toBeAllclose(expected.get("v_t")!.data, { rtol: 1e-4 });
    const sampled = expected.get("sample_actions_10");
    if (sampled) expect(actual.sampled).toBeAllclose(sampled.data, { rtol: 1e-4 });
    const suffix = expected.get("suffix_out");
    // PyTorch keeps the action tokens alone; before them pi0 has its state token.
    if (suffix) expect(lastRows(actual.suffix, suffix)).toBeAllclose(suffix.data, { rtol: 1e-4 });
    const loss = expected.get("loss_per_step");
    if (loss) expect(actual.lossPerStep).toBeAllclose(loss.data, { rtol: 1e-4 });
  });

  test("big_vision, with the expert of the recorded model put in", async () => {
    const file = join(dir, "params.safetensors");
    const npz = sharedPath("golden", "weights", "big_vision", "pt_224_tiny.deflate.npz");
    const recorded = sharedTensors("golden", "weights", "jax_pi05", "params_flat.safetensors");
    const expert = { width: 32, mlpDim: 96, depth: 3, numHeads: 8, numKvHeads: 1, headDim: 16 };
    const { config, report } = await importWeights(npz, file, {
      modelType: "pi05",
      model: { ...STAND_IN.model, expert },
    });
    const params = await readParams(file);
    for (const { path } of report.initialised) params.set(path, recorded.get(path) as never);
    const expected = sharedTensors("golden", "weights", "jax_pi05", "outputs.safetensors");
    const actual = await forward(config, params);
    expect(actual.velocity).toBeAllclose(expected.get("v_t")!.data, { rtol: 1e-4 });
    expect(actual.sampled).toBeAllclose(expected.get("sample_actions_10")!.data, { rtol: 1e-4 });
  });
});
