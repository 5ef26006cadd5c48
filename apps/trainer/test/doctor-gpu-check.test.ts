/** @file scripts/gpu-check.sh as far as it goes without a GPU. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";

const script = fileURLToPath(new URL("../../../scripts/gpu-check.sh", import.meta.url));
const base = mkdtempSync(join(tmpdir(), "insula-gpu-check-"));
afterAll(() => rmSync(base, { recursive: true }));

function gpuCheck(...args: string[]) {
  const { status, stdout, stderr } = spawnSync("bash", [script, ...args], {
    encoding: "utf8",
    cwd: base,
    env: { ...process.env, INSULA_SHARED: join(base, "none") },
  });
  return { status, stdout, stderr };
}

test("--help tells every option that there is", () => {
  const { status, stdout } = gpuCheck("--help");
  expect(status).toBe(0);
  const options = readFileSync(script, "utf8").matchAll(/^ {4}(--[\w-]+)\) /gm);
  for (const [, option = ""] of options) expect(stdout).toContain(`\n  ${option}`);
});

test("--dry-run names every step with its command, and touches nothing", () => {
  const out = join(base, "dry");
  const golden = join(base, "golden");
  const { status, stdout, stderr } = gpuCheck(
    ...[
      "--dry-run",
      "--out",
      out,
      "--device",
      "cuda:1",
      "--golden",
      golden,
      "--layers",
      "3",
      "--provider-only",
    ],
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const steps = [...stdout.matchAll(/^(\S+) +\S/gm)].map(([, name]) => name);
  expect(steps).toEqual([
    ...["doctor", "install", "placement", "verify", "train-tiny", "train-small", "step-small", "step-wide"],
    ...["torch-float32", "torch-bfloat16"],
  ]);
  expect(stdout).toContain("doctor --install-cuda --json --provider-only");
  expect(stdout).toContain(`verify --device cuda:1 --tolerances cuda`);
  expect(stdout).toContain(`--golden ${golden}`);
  expect(stdout).toContain("--model wide --layers 3");
  expect(existsSync(out)).toBe(false);
});

test.each([
  [["--frobnicate"], "unknown option '--frobnicate'; --help lists them"],
  [["--out"], "--out needs a value"],
  [["--device", "cpu"], "--device: expected cuda or cuda:N, found 'cpu'"],
  [["--steps", "0"], "--steps: expected a positive whole number, found '0'"],
  [["--only", "nothing"], "--only: no step 'nothing'; there are doctor install"],
])("wrong usage: %j", (args, message) => {
  const { status, stderr } = gpuCheck(...args, "--dry-run");
  expect(status).toBe(2);
  expect(stderr).toContain(`gpu-check: ${message}`);
});

test("without a GPU it says so, before anything is downloaded, and leaves the report", () => {
  if (existsSync("/proc/driver/nvidia/version")) return; // then it goes on for half an hour
  const out = join(base, "real");
  const { status, stderr } = gpuCheck("--out", out);
  expect(status).toBe(3);
  expect(stderr).toContain(
    `gpu-check: no usable GPU: NVIDIA driver: none; training runs on the CPU (report in ${out}/report.txt)`,
  );
  const report = JSON.parse(readFileSync(join(out, "report.json"), "utf8"));
  expect(report).toMatchObject({ format: "insula-gpu-check/1", steps: [{ name: "doctor", state: "ok" }] });
  expect(report.machine.find((f: { part: string }) => f.part === "node: cpu")).toMatchObject({ state: "ok" });
  expect(readFileSync(join(out, "report.txt"), "utf8")).toMatch(/machine\n-+\nnode +ok/);
});
