/**
 * @file Which libonnxruntime the capi runtime loads.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { InsulaError } from "@insula/model-types";

/** Where a library comes from. */
export interface OrtLibrary {
  path: string;
  /** `INSULA_ORT_LIBRARY`, the folder of installed CUDA libraries, or onnxruntime-node's own. */
  source: "environment" | "cuda" | "onnxruntime-node";
}

const LIBRARY = "libonnxruntime.so.1";
const CUDA_PROVIDER = "libonnxruntime_providers_cuda.so";

/**
 * The library: the environment variable `INSULA_ORT_LIBRARY` names a file; else the one in the folder of CUDA
 * libraries, when it is there together with CUDA's provider; else the one of onnxruntime-node.
 * @throws InsulaError `ort/load` naming the file when it does not exist.
 */
export function onnxRuntimeLibrary(env: NodeJS.ProcessEnv = process.env): OrtLibrary {
  const named = env["INSULA_ORT_LIBRARY"];
  if (named) {
    if (existsSync(named)) return { path: named, source: "environment" };
    throw new InsulaError("ort/load", `capi runtime: INSULA_ORT_LIBRARY: ${named} does not exist`);
  }
  const cuda = cudaLibrariesDir(env);
  if ([LIBRARY, CUDA_PROVIDER].every((name) => existsSync(join(cuda, name)))) {
    return { path: join(cuda, LIBRARY), source: "cuda" };
  }
  const path = join(bundledLibraryDir(), LIBRARY);
  if (existsSync(path)) return { path, source: "onnxruntime-node" };
  throw new InsulaError(
    "ort/load",
    `capi runtime: ${path} does not exist; use the node runtime on ${process.platform}/${process.arch}`,
  );
}

/**
 * The folder that CUDA's libraries are installed to: `INSULA_CUDA_DIR`, by default
 * `insula/cuda-<version of ONNX Runtime>` in the user's cache.
 */
export function cudaLibrariesDir(env: NodeJS.ProcessEnv = process.env): string {
  const cache = env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return env["INSULA_CUDA_DIR"] || join(cache, "insula", `cuda-${onnxRuntimeVersion()}`);
}

/** The folder of the library that onnxruntime-node loads on this platform. */
export function bundledLibraryDir(): string {
  return join(packageDir(), "bin", "napi-v6", process.platform, process.arch);
}

/** The version of onnxruntime-node, and of the library in it. */
export function onnxRuntimeVersion(): string {
  return (JSON.parse(readFileSync(join(packageDir(), "package.json"), "utf8")) as { version: string })
    .version;
}

function packageDir(): string {
  const main = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(main), "..");
}
