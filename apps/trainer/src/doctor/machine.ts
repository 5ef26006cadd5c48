/** @file The computer itself: Node, pnpm, processor, memory, disk, with the limits that a container sets. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { dirname, join } from "node:path";
import { cudaLibrariesDir } from "@insula/ort-session";
import { availableMemory, gigabytes } from "../plan.js";
import type { Finding, Surroundings } from "./finding.js";

/** Below this a checkpoint of the tiny model may not fit any more. */
const LITTLE_DISK = 1e9;

export function examineMachine(around: Surroundings): Finding[] {
  return [node(), pnpm(around), processor(around), memory(), disk(around)];
}

function node(): Finding {
  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
  const ok = major > 20 || (major === 20 && minor >= 19);
  const detail = `${process.version} on ${process.platform}-${process.arch}`;
  if (ok) return { part: "node", state: "ok", detail };
  return {
    part: "node",
    state: "problem",
    detail: `${detail}; 20.19 or newer is needed`,
    fix: "install Node 20.19 or newer from https://nodejs.org",
  };
}

function pnpm({ env }: Surroundings): Finding {
  const { status, stdout } = spawnSync("pnpm", ["--version"], { encoding: "utf8", env, timeout: 20_000 });
  if (status === 0) return { part: "pnpm", state: "ok", detail: stdout.trim() };
  return {
    part: "pnpm",
    state: "missing",
    detail: "not on the PATH",
    fix: "npx --yes pnpm@12.21.0 … does without",
  };
}

function processor({ root }: Surroundings): Finding {
  const quota = cpuQuota(root);
  const limit = quota === undefined ? "" : `, of which the container may use ${quota.toFixed(1)}`;
  const fewer = quota !== undefined && quota < availableParallelism();
  return {
    part: "processor",
    state: "ok",
    detail: `${availableParallelism()} cores${limit}, ${cpus()[0]?.model ?? "unknown"}`,
    ...(fewer ? { fix: `--threads ${Math.max(1, Math.floor(quota))}` } : {}),
  };
}

/** Cores that a control group allows; undefined without a limit. */
function cpuQuota(root: string): number | undefined {
  const unified = join(root, "sys/fs/cgroup/cpu.max");
  if (existsSync(unified)) {
    const [quota, period] = readFileSync(unified, "utf8").split(" ").map(Number);
    return quota && period ? quota / period : undefined; // "max" is no number
  }
  const [quota, period] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map((name) => {
    const path = join(root, "sys/fs/cgroup/cpu", name);
    return existsSync(path) ? Number(readFileSync(path, "utf8")) : -1;
  }) as [number, number];
  return quota > 0 && period > 0 ? quota / period : undefined;
}

function memory(): Finding {
  const { free, total } = availableMemory();
  return { part: "memory", state: "ok", detail: `${gigabytes(free)} free of ${gigabytes(total)}` };
}

function disk({ env }: Surroundings): Finding {
  const free = (path: string): number => {
    let at = path;
    while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
    const { bavail, bsize } = statfsSync(at);
    return bavail * bsize;
  };
  const here = free(process.cwd());
  const cache = free(cudaLibrariesDir(env));
  return {
    part: "disk",
    state: here < LITTLE_DISK ? "problem" : "ok",
    detail: `${gigabytes(here)} free here, ${gigabytes(cache)} where the CUDA libraries go`,
    ...(here < LITTLE_DISK ? { fix: "--log-dir on another disk" } : {}),
  };
}
