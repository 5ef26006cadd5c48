import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors, writeSafetensors } from "@insula/safetensors";
import { describeShared, sharedPath } from "@insula/test-kit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runVerify, type VerifyOptions } from "../src/verify/index.js";
import { writeCase } from "./verify-case.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "insula-verify-"));
});
afterEach(() => rm(dir, { recursive: true }));

/** Verify, and what was logged. */
async function verify(options: Omit<VerifyOptions, "log">) {
  const logged: string[] = [];
  const result = await runVerify({ ...options, log: (text) => logged.push(text) });
  const failed = result.report.items.filter((r) => !r.ok).map((r) => r.item);
  return { ...result, failed, text: logged.join("\n") };
}

/** Add to one number of a tensor. */
async function corrupt(file: string, name: string, amount: number): Promise<void> {
  const tensors = await readSafetensors(file);
  (tensors.get(name)!.data as Float32Array)[3]! += amount;
  await writeSafetensors(file, tensors);
}

describeShared("the golden folders", () => {
  test("everything agrees, and what was not checked says why", { timeout: 300_000 }, async () => {
    const out = join(dir, "out");
    const golden = [sharedPath("golden", "common"), sharedPath("golden", "public")];
    const { failed, exitCode, report, text } = await verify({ golden, out });
    expect(failed).toEqual([]);
    expect(exitCode).toBe(0);
    expect(report.counts.items).toBeGreaterThan(6000);
    expect(report.notChecked).toEqual([
      {
        golden: "public",
        file: "fast/pretokenize.json",
        name: "rows/*/pieces",
        reason: expect.stringContaining("ids follow"),
      },
      { golden: "public", file: "ki/pi05/mutants.json", reason: expect.stringContaining("wrong models") },
    ]);
    expect(text).toContain("public: ki/pi05/two-pass/grads_fast/* (32)");
    // What was written has the goldens' own names and types.
    const file = ["model", "pi0", "outputs.safetensors"];
    const written = await readSafetensors(join(out, "public", ...file));
    for (const [name, { shape, dtype }] of await readSafetensors(sharedPath("golden", "public", ...file))) {
      expect(written.get(name), name).toMatchObject({ shape, dtype });
    }
    const config = JSON.parse(await readFile(join(out, "public", "ki", "pi05", "config.json"), "utf8"));
    expect(config.adamw.runs.quick.steps).toHaveLength(3);
    expect(JSON.parse(await readFile(join(out, "verify.json"), "utf8")).ok).toBe(true);
  });

  test("statistics of the DROID subset", async () => {
    const { failed, exitCode, report } = await verify({ golden: [sharedPath("golden", "norm_stats_droid")] });
    expect(failed).toEqual([]);
    // Another numpy's statistics are listed, and no failure.
    expect(exitCode).toBe(0);
    expect(report.notChecked.map((n) => n.file)).toContain("numpy2.2.6/norm_stats.json");
    expect(report.counts.items).toBe(27);
    expect(report.notChecked.map((n) => n.file)).toContain("norm_stats_15hz.json");
  });

  test("one changed number is found and named", async () => {
    const golden = join(dir, "common");
    await mkdir(golden);
    for (const file of ["dct.safetensors", "dct.json"]) {
      await cp(sharedPath("golden", "common", file), join(golden, file));
    }
    expect(await verify({ golden: [golden] })).toMatchObject({ exitCode: 0, failed: [] });
    await corrupt(join(golden, "dct.safetensors"), "h10_d7/dct", 1e-9);
    const { exitCode, failed, text } = await verify({ golden: [golden] });
    expect(exitCode).toBe(1);
    expect(failed).toEqual(["dct/h10_d7/dct"]);
    expect(text).toMatch(/dct\/h10_d7\/dct .* 1e-12 of max +FAIL +at \[0, 3\] expected/);
    expect(text).toContain("dct/*/dct (54)");
    expect(text).toContain("110 items compared, 1 failed");
  });

  test("a changed gradient, a changed loss, a removed and an unknown tensor", async () => {
    const at = (...parts: string[]) => join(dir, "public", ...parts);
    for (const kind of ["ki", "model"]) {
      await cp(sharedPath("golden", "public", kind, "pi05_asym"), at(kind, "pi05_asym"), { recursive: true });
    }
    const bias = "PaliGemma/llm/final_norm_1/Dense_0/bias";
    await corrupt(at("ki", "pi05_asym", "grads_action.safetensors"), bias, 0.01);
    const config = JSON.parse(await readFile(at("ki", "pi05_asym", "config.json"), "utf8"));
    config.fast_loss *= 1 + 5e-5;
    config.surprise = 1;
    await writeFile(at("ki", "pi05_asym", "config.json"), JSON.stringify(config));
    const outputs = await readSafetensors(at("ki", "pi05_asym", "outputs.safetensors"));
    outputs.set("new/tensor", outputs.get("x_t")!);
    outputs.delete("v_t");
    await writeSafetensors(at("ki", "pi05_asym", "outputs.safetensors"), outputs);
    await writeFile(at("ki", "pi05_asym", "extra.bin"), "");
    const { exitCode, failed, report } = await verify({ golden: [at()], only: "ki/*" });
    expect(exitCode).toBe(1);
    expect(failed).toEqual(
      expect.arrayContaining(["ki/pi05_asym/config/fast_loss", `ki/pi05_asym/grads_action/${bias}`]),
    );
    expect(report.notChecked).toEqual([
      { golden: "public", file: "ki/pi05_asym/config.json", name: "surprise", reason: "unknown name" },
      {
        golden: "public",
        file: "ki/pi05_asym/outputs.safetensors",
        name: "new/tensor",
        reason: "unknown name",
      },
    ]);
    expect(report.items.some((r) => r.item.endsWith("outputs/v_t"))).toBe(false);
  });

  test("missing inputs are failures that name them", async () => {
    const golden = join(dir, "public");
    await cp(sharedPath("golden", "public", "ki", "pi05_asym"), join(golden, "ki", "pi05_asym"), {
      recursive: true,
    });
    await cp(sharedPath("golden", "public", "fast", "fastplus"), join(golden, "fast", "fastplus"), {
      recursive: true,
    });
    await cp(sharedPath("golden", "common", "dct.safetensors"), join(golden, "dct.safetensors"));
    const { exitCode, report, failed, text } = await verify({ golden: [golden], tokenizers: dir });
    expect(exitCode).toBe(1);
    expect(report.ok).toBe(false);
    expect(failed.toSorted()).toEqual(["fast/fastplus", "ki/pi05_asym"]);
    const params = "needs ../../model/pi05_asym/params.safetensors, which is not there";
    const fast = `needs FAST+'s tokenizer.json in ${dir} (--tokenizers), which is not there`;
    const notes = report.items.filter((r) => !r.ok).map((r) => r.note);
    expect(notes.toSorted()).toEqual([params, fast].toSorted());
    expect(report.notChecked.map((n) => n.reason)).toEqual(expect.arrayContaining([params, fast]));
    expect(text).toContain(params);
    // The rest was still compared.
    expect(report.counts.ok).toBeGreaterThan(100);
  });

  test("a wrong --tokenizers alone fails; what is no subject does not", async () => {
    const part = { golden: [sharedPath("golden", "public")], only: "fast/fastplus" };
    const wrong = await verify({ ...part, tokenizers: join(dir, "none") });
    expect(wrong).toMatchObject({ exitCode: 1, failed: ["fast/fastplus"] });
    const right = await verify({ ...part, tokenizers: sharedPath("data") });
    expect(right).toMatchObject({ exitCode: 0, failed: [] });
  });
});

describe("any shapes", () => {
  test.each(["pi0", "pi05", "pi0fast"] as const)(
    "%s: what is written verifies",
    { timeout: 120_000 },
    async (kind) => {
      const inputs = join(dir, "inputs");
      await writeCase(inputs, kind, "odd");
      const computed = join(dir, "computed");
      const first = await verify({ golden: [inputs], out: computed });
      expect(first).toMatchObject({ exitCode: 0, failed: [] });
      expect(first.report.computedOnly).toBeGreaterThan(20);
      // The written folder and the inputs together are a golden folder; nothing in it is unknown.
      await cp(inputs, join(dir, "golden"), { recursive: true });
      await cp(computed, join(dir, "golden"), {
        recursive: true,
        filter: (path) => !/verify\.json$|config\.json$/.test(path),
      });
      for (const part of kind === "pi05" ? ["model", "ki"] : ["model"]) {
        const path = (root: string) => join(dir, root, part, "odd", "config.json");
        const read = async (root: string) => JSON.parse(await readFile(path(root), "utf8"));
        await writeFile(
          path("golden"),
          JSON.stringify({ ...(await read("computed")), ...(await read("inputs")) }),
        );
      }
      for (const extra of ["two-pass", "lambda_0.5"]) {
        await rm(join(dir, "golden", "ki", "odd", extra), { recursive: true, force: true });
      }
      const second = await verify({ golden: [join(dir, "golden")] });
      expect(second.failed).toEqual([]);
      expect(second.report.notChecked).toEqual([]);
      // One pass and two are different graphs; both are held against the same numbers.
      if (kind === "pi05") {
        expect(second.report.items.map((r) => r.item)).toContain("ki/odd/two-pass/outputs/attn_mask_pass2");
        expect(second.report.counts.items).toBeGreaterThan(first.report.computedOnly);
      }
    },
  );
});

describe("nothing to verify", () => {
  test("a folder with nothing known ends with 2", async () => {
    await writeFile(join(dir, "notes.txt"), "");
    const { exitCode, ok, text, report } = await verify({ golden: [dir] });
    expect([exitCode, ok]).toEqual([2, false]);
    expect(text).toContain(`error: ${dir}: nothing here is known`);
    expect(report.notChecked).toMatchObject([{ file: "notes.txt", reason: "unknown file" }]);
  });

  test("inputs alone are of use only with --out", async () => {
    await writeCase(dir, "pi0", "odd");
    const { exitCode, text } = await verify({ golden: [dir] });
    expect(exitCode).toBe(2);
    expect(text).toContain("there is nothing to compare with; --out writes what was computed");
  });

  test("--only that matches nothing names what there is", async () => {
    await writeCase(dir, "pi0", "odd");
    const { exitCode, text } = await verify({ golden: [dir], only: "model/od" + "dd" });
    expect(exitCode).toBe(2);
    expect(text).toContain("--only 'model/oddd' matches none of model/odd; did you mean 'model/odd'?");
  });

  test("a folder that is not there", async () => {
    await expect(verify({ golden: [join(dir, "none")] })).rejects.toMatchObject({ code: "verify/no-folder" });
  });

  test("a broken file fails its own unit only, and JSON says so", async () => {
    await writeFile(join(dir, "dct.safetensors"), "nonsense");
    await writeFile(
      join(dir, "discretise.json"),
      JSON.stringify({ values: ["0.5", "nan"], bins_out: [192, 255] }),
    );
    const { exitCode, text } = await verify({ golden: [dir], json: true });
    expect(exitCode).toBe(1);
    const report = JSON.parse(text);
    expect(report.counts).toEqual({ items: 2, ok: 1, failed: 1, notChecked: 0 });
    expect(report.items[0]).toMatchObject({
      ok: false,
      maxAbs: "NaN",
      note: expect.stringContaining("safetensors"),
    });
    expect(report.items[1]).toMatchObject({ item: "discretise/bins_out", ok: true });
  });
});
