import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeShared, sharedPath } from "@insula/test-kit";
import { afterAll, expect, test } from "vitest";
import { findCheckpoint, readCheckpointConfig, readParams } from "../src/checkpoint.js";
import { runCli } from "../src/program.js";
import { initialParams } from "../src/weights.js";

const dir = mkdtempSync(join(tmpdir(), "insula-weights-command-"));
afterAll(() => rmSync(dir, { recursive: true }));

async function insula(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(["weights", ...args], { out: (l) => out.push(l), err: (l) => err.push(l) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

describeShared("insula weights", () => {
  const lerobot = sharedPath("golden", "weights", "lerobot_pi05");

  test("import into a checkpoint, export, import again: the same bytes", async () => {
    const first = join(dir, "first");
    const done = await insula("import", lerobot, "--out", first, "--siglip-heads", "4");
    expect(done).toMatchObject({ code: 0, err: "" });
    expect(done.out).toContain("51 parameters mapped, 0 missing and initialised, 2 tensors ignored");
    expect(done.out).toContain("assets/droid/norm_stats.json");
    const config = await readCheckpointConfig(await findCheckpoint(first));
    expect(config).toMatchObject({
      name: "pi05_droid",
      model: { actionHorizon: 8, maxTokenLen: 24, vocabSize: 2048 },
    });
    // A run starts from it as from any checkpoint.
    expect(await initialParams({ ...config, weights: first })).toEqual(await readParams(first));

    for (const format of ["openpi", "lerobot"]) {
      const out = join(dir, format);
      expect(await insula("export", first, "--format", format, "--out", out)).toMatchObject({
        code: 0,
        err: "",
      });
      const again = join(dir, `${format}-again`);
      expect((await insula("import", out, "--out", again)).code).toBe(0);
      const params = join("params", "params.safetensors");
      expect(readFileSync(join(again, params)).equals(readFileSync(join(first, params)))).toBe(true);
      expect((await readCheckpointConfig(again)).model).toEqual(config.model);
    }
    const npz = await insula("export", first, "--format", "npz", "--out", join(dir, "npz"));
    expect(npz.out).toContain("no place in npz for 19 parameters: time_mlp_in/kernel");
  });

  test("a named configuration says what weights do not: type, horizon, prompt length", async () => {
    const out = join(dir, "ki");
    const { code } = await insula(
      "import",
      lerobot,
      "--out",
      out,
      "--siglip-heads",
      "4",
      "--config",
      "pi05_droid_ki",
    );
    expect(code).toBe(0);
    expect(await readCheckpointConfig(out)).toMatchObject({
      name: "pi05_droid_ki",
      model: { knowledgeInsulation: true, actionHorizon: 50, maxTokenLen: 256, imageSize: 56 },
    });
  });

  test("openpi's statistics beside params/ come along, byte for byte; broken ones are an error", async () => {
    const step = join(dir, "openpi-step");
    cpSync(sharedPath("golden", "weights", "orbax", "puredict_ocdbt", "params"), join(step, "params"), {
      recursive: true,
    });
    const assets = join(step, "assets", "trossen");
    mkdirSync(assets, { recursive: true });
    const stats = { mean: [0.5], std: [2], q01: [0], q99: [1] };
    const text = JSON.stringify({ norm_stats: { state: stats, actions: stats } });
    for (const [i, source] of [step, join(step, "params")].entries()) {
      writeFileSync(join(assets, "norm_stats.json"), text);
      const out = join(dir, `with-assets-${i}`);
      expect((await insula("import", source, "--out", out)).code).toBe(0);
      expect(readFileSync(join(out, "assets", "trossen", "norm_stats.json"), "utf8")).toBe(text);
    }
    writeFileSync(join(assets, "norm_stats.json"), "{");
    const broken = await insula("import", step, "--out", join(dir, "broken"));
    expect(broken).toMatchObject({ code: 1, err: expect.stringContaining("[norm-stats/json]") });
    expect(existsSync(join(dir, "broken"))).toBe(false);
  });

  test("what cannot be imported leaves nothing behind", async () => {
    const before = readdirSync(dir);
    const heads = await insula("import", lerobot, "--out", join(dir, "none"));
    expect(heads).toMatchObject({ code: 1, out: "" });
    expect(heads.err).toContain("--siglip-heads");
    const missing = await insula("import", join(dir, "nothing"), "--out", join(dir, "none"));
    expect(missing.err).toContain("[weights/missing]");
    expect(existsSync(join(dir, "none"))).toBe(false);
    expect(readdirSync(dir)).toEqual(before);
    expect((await insula("import", lerobot, "--out", join(dir, "ki"))).err).toContain("[weights/exists]");
  });
});
