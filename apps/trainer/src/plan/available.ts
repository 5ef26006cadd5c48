/** @file Memory that this process may still use. */
import { spawnSync } from "node:child_process";
import { freemem, totalmem } from "node:os";
import type { Device } from "@insula/ort-session";

/** Bytes. */
export interface Available {
  free: number;
  total: number;
}

/**
 * Memory of a device: on `cpu` what is free on the machine and, in a container, within its limit; on `cuda` what
 * nvidia-smi says. Undefined when nobody can tell.
 */
export function deviceMemory(device: Device): Available | undefined {
  if (device === "cpu") return availableMemory();
  const index = device.split(":")[1] ?? "0";
  const { status, stdout } = spawnSync(
    "nvidia-smi",
    ["--query-gpu=memory.free,memory.total", "--format=csv,noheader,nounits", `--id=${index}`],
    { encoding: "utf8", timeout: 10_000 },
  );
  const [free, total] = (stdout ?? "").split(",").map((cell) => Number(cell) * 2 ** 20);
  return status === 0 && free! > 0 && total! > 0 ? { free: free!, total: total! } : undefined;
}

/** Host memory that this process may still use, in bytes: free on the machine and, in a container, within its limit. */
export function availableMemory(): Available {
  const { constrainedMemory, memoryUsage } = process as NodeJS.Process & { constrainedMemory?: () => number };
  const limit = constrainedMemory?.() ?? 0;
  // Without a limit Node reports 0 or a number beyond the machine's memory.
  if (limit > 0 && limit < totalmem()) {
    return { free: Math.min(freemem(), limit - memoryUsage.rss()), total: limit };
  }
  return { free: freemem(), total: totalmem() };
}
