/** @file The doctor on this machine, and on machines made of a PATH folder and a /proc of their own. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import { assertSameRun } from "../src/configs/same-run.js";
import { checkRunConfig } from "../src/configs/schema.js";
import { examine, type Finding } from "../src/doctor/index.js";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-doctor-"));
afterAll(() => rmSync(base, { recursive: true }));

async function insula(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(args, { out: (l) => out.push(l), err: (l) => err.push(l) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

let count = 0;
/** A machine with these programs and files of /proc and /sys, and nothing installed for CUDA. */
function machine(programs: Record<string, string>, files: Record<string, string> = {}) {
  const root = join(base, `${count++}`);
  const bin = join(root, "bin");
  mkdirSync(bin, { recursive: true });
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const env: NodeJS.ProcessEnv = { PATH: `${bin}:/bin`, HOME: root, INSULA_CUDA_DIR: join(root, "cuda") };
  return { env, root };
}

const part = (findings: readonly Finding[], name: string) => findings.find((f) => f.part === name);

test("on this machine: what is necessary is there, and the providers were run", async () => {
  const { code, out } = await insula("doctor", "--json");
  expect(code).toBe(0);
  const findings = JSON.parse(out) as Finding[];
  expect(part(findings, "node")).toMatchObject({
    state: "ok",
    detail: expect.stringContaining(process.version),
  });
  expect(part(findings, "onnxruntime")?.detail).toMatch(/^\d+\.\d+\.\d+; \/.*libonnxruntime\.so\.1 \(/);
  expect(part(findings, "node: cpu")).toMatchObject({ state: "ok", detail: "runs" });
  expect(part(findings, "capi: cpu")).toMatchObject({ state: "ok", detail: "runs" });
  for (const name of ["memory", "disk", "processor", "video", "ffmpeg", "nvidia driver", "cuda provider"])
    expect(part(findings, name), name).toBeDefined();
  for (const { part: name, state, fix } of findings)
    if (name.startsWith("capi") && state !== "ok") expect(fix).toBeTruthy();
});

test("as a table, with what mends it below", async () => {
  const { code, out } = await insula("doctor");
  expect(code).toBe(0);
  expect(out).toMatch(/^part +state/);
  expect(out).toMatch(/\ncapi: cpu +ok +runs\n/);
  if (/missing/.test(out)) expect(out).toMatch(/\n\nto mend/);
});

describe("GPUs", () => {
  const smi = (rows: string) => `case "$*" in *--query-gpu=*) printf '%s\\n' ${rows};; *) exit 9;; esac`;

  test("as nvidia-smi tells them", async () => {
    const around = machine({
      "nvidia-smi": smi(
        "'NVIDIA H100 80GB HBM3, 81559, 1024, 580.95.05, 9.0' 'NVIDIA L4, 23034, [N/A], 580.95.05, 8.9'",
      ),
    });
    const findings = await examine(around);
    expect(part(findings, "nvidia driver")).toEqual({
      part: "nvidia driver",
      state: "ok",
      detail: "580.95.05",
    });
    expect(part(findings, "gpu 0")?.detail).toBe(
      "NVIDIA H100 80GB HBM3, 84.4 GB free of 85.5 GB, compute capability 9.0",
    );
    expect(part(findings, "gpu 1")?.detail).toBe("NVIDIA L4, 24.2 GB, compute capability 8.9");
    expect(part(findings, "cuda provider")).toMatchObject({
      state: "missing",
      fix: "insula doctor --install-cuda",
    });
  });

  test.each([
    ["an old driver", smi("'Tesla T4, 15360, 0, 535.183.01, 7.5'"), /^535\.183\.01 is too old for CUDA 13$/],
    [
      "a broken one",
      "echo 'NVIDIA-SMI has failed because it could not communicate'; exit 9",
      /^nvidia-smi: .*failed/,
    ],
    ["none", undefined, /^none/],
  ])("%s", async (_, script, detail) => {
    const findings = await examine(machine(script === undefined ? {} : { "nvidia-smi": script }));
    expect(part(findings, "nvidia driver")).toMatchObject({
      state: "missing",
      detail: expect.stringMatching(detail),
      fix: expect.stringMatching(/580 or newer/),
    });
    expect(findings.some((f) => f.state === "problem")).toBe(false);
  });

  test("without nvidia-smi, as the kernel module tells them", async () => {
    const findings = await examine(
      machine(
        {},
        {
          "proc/driver/nvidia/version":
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  590.12.01  Release Build\nGCC version: 12\n",
          "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ: 3\n",
        },
      ),
    );
    expect(part(findings, "nvidia driver")).toMatchObject({ state: "ok", detail: "590.12.01" });
    expect(part(findings, "gpu 0")?.detail).toBe("NVIDIA GeForce RTX 4090");
  });
});

test("a container's share of the processor", async () => {
  const findings = await examine(machine({}, { "sys/fs/cgroup/cpu.max": "50000 100000\n" }));
  expect(part(findings, "processor")).toMatchObject({
    detail: expect.stringContaining("of which the container may use 0.5"),
    fix: "--threads 1",
  });
  const unlimited = await examine(machine({}, { "sys/fs/cgroup/cpu.max": "max 100000\n" }));
  expect(part(unlimited, "processor")?.detail).not.toContain("container");
});

test("programs on the PATH", async () => {
  const around = machine({ pnpm: "echo 12.21.0", ffmpeg: "echo 'ffmpeg version 7.1.1-1 Copyright'" });
  const findings = await examine(around);
  expect(part(findings, "pnpm")).toMatchObject({ state: "ok", detail: "12.21.0" });
  expect(part(findings, "ffmpeg")).toMatchObject({ state: "ok", detail: "7.1.1-1" });
});

test("a provider folder that lacks a file, or is of another ONNX Runtime", async () => {
  const around = machine({});
  const dir = around.env["INSULA_CUDA_DIR"]!;
  mkdirSync(dir);
  const manifest = {
    format: "insula-cuda-libraries/1",
    onnxRuntime: "1.2.3",
    providerOnly: false,
    wheels: [],
  };
  const file = { path: "libonnxruntime_providers_cuda.so", size: 3, sha256: "" };
  writeFileSync(join(dir, "manifest.json"), JSON.stringify({ ...manifest, files: [file] }));
  expect(part(await examine(around), "cuda provider")).toMatchObject({
    state: "missing",
    detail: `${dir} lacks libonnxruntime_providers_cuda.so`,
  });
  writeFileSync(join(dir, file.path), "abc");
  expect(part(await examine(around), "cuda provider")).toMatchObject({
    state: "problem",
    detail: expect.stringMatching(/is for ONNX Runtime 1\.2\.3, \d/),
  });
});

test("what belongs to --install-cuda is refused without it; an index that does not answer is named", async () => {
  expect(await insula("doctor", "--provider-only")).toMatchObject({
    code: 1,
    err: "error: --provider-only belongs to --install-cuda [cli/option]",
  });
  const before = process.env["PIP_INDEX_URL"];
  process.env["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple";
  try {
    const { code, err } = await insula(
      "doctor",
      "--install-cuda",
      "--provider-only",
      "--dir",
      join(base, "to"),
    );
    expect(code).toBe(1);
    expect(err).toMatch(
      /^error: http:\/\/127\.0\.0\.1:9\/simple\/onnxruntime-gpu\/ does not answer: .*\[cuda\/offline\]$/,
    );
    expect(existsSync(join(base, "to"))).toBe(false);
  } finally {
    if (before === undefined) delete process.env["PIP_INDEX_URL"];
    else process.env["PIP_INDEX_URL"] = before;
  }
});

describe("--device", () => {
  const gpu = existsSync("/proc/driver/nvidia/version");

  test.each([
    ["train", "debug", "--device", "gpu"],
    ["verify", "--golden", base, "--device", "cuda:"],
    ["evaluate", "--checkpoint", base, "--device", "cuda:-1"],
  ])("a name that is none: %s %s %s %s", async (...args) => {
    const { code, err } = await insula(...args);
    expect(code).toBe(2);
    expect(err).toMatch(/Expected cpu, cuda or cuda:<number>/);
  });

  test.each([
    [
      "cuda.memoryLimit=lots",
      'config: cuda.memoryLimit: expected a whole number of bytes above 0, found "lots"',
    ],
    ["cuda.memoryLimit=-1", "config: cuda.memoryLimit: expected a whole number of bytes above 0, found -1"],
    ["cuda.tf33=true", "config: unknown field 'cuda.tf33'; did you mean 'cuda.tf32'?"],
    [
      "cuda.arenaExtend=twice",
      'config: cuda.arenaExtend: Invalid option: expected one of "next-power-of-two"|"same-as-requested", found "twice"',
    ],
    ["device=tpu", 'config: device: expected cpu, cuda or cuda:<number>, found "tpu"'],
    ["runtime=python", 'config: runtime: Invalid option: expected one of "node"|"capi", found "python"'],
  ])("--set %s", async (setting, message) => {
    const { code, err } = await insula("train", "debug", "--set", setting);
    expect({ code, err }).toEqual({ code: 1, err: `error: ${message} [config/field]` });
  });

  test("is part of the configuration, with CUDA's settings", async () => {
    const { out } = await insula(
      "configs",
      "show",
      "debug",
      "--set",
      "device=cuda:1",
      "--set",
      "cuda.tf32=false",
    );
    expect(JSON.parse(out)).toMatchObject({
      device: "cuda:1",
      runtime: null,
      cuda: { memoryLimit: null, arenaExtend: null, tf32: false, cudnnConvAlgoSearch: null },
    });
  });

  test("a checkpoint of before there was one was trained on the CPU, and may be continued on a GPU", () => {
    const config = resolveConfig(getConfig("debug"), { size: "tiny" });
    const { device: _, runtime: __, cuda: ___, ...before } = config;
    const read = checkRunConfig(before);
    expect(read).toEqual(config);
    expect(() => assertSameRun(read, { ...config, device: "cuda:1", runtime: "capi" })).not.toThrow();
  });

  test.each([
    ["capi", /no NVIDIA driver|insula doctor --install-cuda/],
    ["node", /use --runtime capi/],
  ])("without a GPU, %s: refused before anything is written, with what helps", async (runtime, remedy) => {
    if (gpu) return; // then it runs
    const dir = join(base, `run-${runtime}`);
    const { code, err, out } = await insula(
      ...["train", "debug", "--size", "tiny", "--device", "cuda", "--runtime", runtime, "--log-dir", dir],
    );
    expect(code).toBe(1);
    expect(err).toMatch(/^error: --device cuda: .* \[device\/unavailable\]$/);
    expect(err).toMatch(remedy);
    expect(out).toBe("");
    expect(existsSync(dir)).toBe(false);
    expect(readdirSync(base)).not.toContain("run-capi");
  });
});
