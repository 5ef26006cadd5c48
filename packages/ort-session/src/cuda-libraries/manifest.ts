/**
 * @file What a folder of CUDA libraries holds: its manifest.json, and whether the files are those that it lists.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { CUDA_PROVIDER, CUDA_WHEELS, SHARED_PROVIDER } from "./wheels.js";

/** A file of the folder. */
export interface InstalledFile {
  /** Below the folder. */
  path: string;
  size: number;
  sha256: string;
  /** The wheel that it comes from; absent for ONNX Runtime's own library, a copy of onnxruntime-node's. */
  wheel?: string;
}

/** manifest.json */
export interface CudaManifest {
  format: "insula-cuda-libraries/1";
  onnxRuntime: string;
  /** Whether only the provider was asked for: CUDA's own libraries then come from the system. */
  providerOnly: boolean;
  wheels: { project: string; version: string; filename: string; url: string; sha256: string }[];
  files: InstalledFile[];
}

export const ORT_LIBRARY = "libonnxruntime.so.1";
export const MANIFEST = "manifest.json";

/** What there is in a folder. */
export interface CudaInstallation {
  dir: string;
  /** `provider`: without CUDA's own libraries, as asked for. */
  state: "absent" | "incomplete" | "provider" | "complete";
  /** Files that should be there and are not, or have another size. */
  missing: string[];
  manifest?: CudaManifest;
}

/** Look at a folder. Sizes are compared, not contents. */
export function cudaInstallation(dir: string): CudaInstallation {
  const manifest = readManifest(dir);
  if (!manifest) {
    const some = [CUDA_PROVIDER, SHARED_PROVIDER, ORT_LIBRARY];
    const missing = some.filter((name) => !existsSync(join(dir, name)));
    // Put together by hand, which is as good.
    if (missing.length === 0) return { dir, state: hasLibraries(dir) ? "complete" : "provider", missing };
    return { dir, state: missing.length === some.length ? "absent" : "incomplete", missing };
  }
  const missing = manifest.files
    .filter(({ path, size }) => sizeOf(join(dir, path)) !== size)
    .map(({ path }) => path);
  const whole = manifest.providerOnly ? "provider" : "complete";
  return { dir, state: missing.length > 0 ? "incomplete" : whole, missing, manifest };
}

function readManifest(dir: string): CudaManifest | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(dir, MANIFEST), "utf8")) as CudaManifest;
    return manifest.format === "insula-cuda-libraries/1" ? manifest : undefined;
  } catch {
    return undefined;
  }
}

function hasLibraries(dir: string): boolean {
  return CUDA_WHEELS.flatMap((wheel) => wheel.files).every((name) => existsSync(join(dir, "lib", name)));
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
