/** @file `insula doctor`: what this machine has, and what a run on it would lack. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import { dirname, join } from "node:path";
import { availableMemory, gigabytes } from "../plan.js";
import { table } from "../table.js";
import type { Install } from "./command.js";

/** One line of the report. `missing` parts do not stop a run by themselves. */
interface Finding {
  part: string;
  state: "ok" | "missing" | "problem";
  detail: string;
}

export const installDoctor: Install = (program, io) => {
  program
    .command("doctor")
    .description("what this machine has for training; exits with 1 if something necessary is wrong")
    .option("--json", "print as JSON", false)
    .action(async ({ json }: { json: boolean }) => {
      const findings = await examine();
      io.out(
        json
          ? JSON.stringify(findings, null, 2)
          : table(
              ["part", "state", ""],
              findings.map((f) => [f.part, f.state, f.detail]),
            ),
      );
      if (findings.some((f) => f.state === "problem")) io.exitCode = 1;
    });
};

/** Look at everything. */
export async function examine(): Promise<Finding[]> {
  return [node(), pnpm(), processor(), memory(), ...(await onnxRuntime()), video()];
}

function node(): Finding {
  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
  const ok = major > 20 || (major === 20 && minor >= 19);
  const detail = `${process.version} on ${process.platform}-${process.arch}`;
  return {
    part: "node",
    state: ok ? "ok" : "problem",
    detail: ok ? detail : `${detail}; 20.19 or newer is needed`,
  };
}

function pnpm(): Finding {
  const { status, stdout } = spawnSync("pnpm", ["--version"], { encoding: "utf8" });
  if (status === 0) return { part: "pnpm", state: "ok", detail: stdout.trim() };
  return {
    part: "pnpm",
    state: "missing",
    detail: "not on the PATH; `npx --yes pnpm@12.21.0 …` does without",
  };
}

function processor(): Finding {
  return {
    part: "processor",
    state: "ok",
    detail: `${availableParallelism()} cores, ${cpus()[0]?.model ?? "unknown"}`,
  };
}

function memory(): Finding {
  const { free, total } = availableMemory();
  return { part: "memory", state: "ok", detail: `${gigabytes(free)} free of ${gigabytes(total)}` };
}

async function onnxRuntime(): Promise<Finding[]> {
  const part = "onnxruntime";
  const path = resolveFrom("@insula/ort-session", "onnxruntime-node");
  if (!path)
    return [
      { part, state: "problem", detail: "onnxruntime-node is not installed; install the dependencies again" },
    ];
  try {
    const ort = (await import(path)) as {
      env: { versions: { node?: string } };
      listSupportedBackends(): { name: string; bundled: boolean }[];
    };
    const backends = ort.listSupportedBackends().map((b) => b.name);
    return [
      {
        part,
        state: "ok",
        detail: `onnxruntime-node ${ort.env.versions.node ?? ""}, providers ${backends.join(", ")}`,
      },
      cuda(path, backends),
    ];
  } catch (error) {
    return [{ part, state: "problem", detail: `does not load: ${(error as Error).message}` }];
  }
}

/** The CUDA provider is two libraries beside ONNX Runtime's own, and a driver. */
function cuda(ortPath: string, backends: readonly string[]): Finding {
  const root = ortPath.slice(0, ortPath.lastIndexOf("onnxruntime-node") + "onnxruntime-node".length);
  const bin = join(root, "bin", "napi-v6", process.platform, process.arch);
  const needed = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"];
  const lacking = needed.filter((name) => !existsSync(join(bin, name)));
  const driver = existsSync("/dev/nvidiactl") || existsSync("/proc/driver/nvidia/version");
  if (!driver) return { part: "cuda", state: "missing", detail: "no NVIDIA driver; --device cpu" };
  if (lacking.length > 0) {
    return {
      part: "cuda",
      state: "missing",
      detail: `driver there, but ${lacking.join(" and ")} missing in ${bin}`,
    };
  }
  return {
    part: "cuda",
    state: backends.includes("cuda") ? "ok" : "missing",
    detail: `driver and provider in ${bin}`,
  };
}

function video(): Finding {
  const path = resolveFrom("@insula/lerobot-dataset", "node-av");
  if (path)
    return { part: "video", state: "ok", detail: "node-av: AV1, H.264 and HEVC datasets can be read" };
  return {
    part: "video",
    state: "missing",
    detail: "node-av is not installed (optional): datasets of images only",
  };
}

/** Where `dependency` is found from inside `pkg`, both as Node resolves them. */
function resolveFrom(pkg: string, dependency: string): string | undefined {
  const here = createRequire(import.meta.url);
  const folders = (here.resolve.paths(pkg) ?? []).map((p) => join(p, pkg));
  const root = folders.find((folder) => existsSync(folder)) ?? dirname(import.meta.url);
  try {
    return createRequire(join(root, "package.json")).resolve(dependency);
  } catch {
    return undefined;
  }
}
