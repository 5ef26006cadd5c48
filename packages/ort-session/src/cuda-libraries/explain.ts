/**
 * @file Why a session on CUDA did not come up, and what to do. When its provider does not load, ONNX Runtime says
 * "Failed to load shared library" and no more (the rest goes to stderr), so the folder is looked at.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { neededLibraries } from "./elf.js";
import { cudaInstallation } from "./manifest.js";
import { preloadCudaLibraries } from "./preload.js";
import { CUDA_PROVIDER, SHARED_PROVIDER } from "./wheels.js";

const INSTALL = "`insula doctor --install-cuda`";
const DRIVER = "libcuda.so.1";

/** CUDA's own error numbers (driver_types.h `cudaError_t`) that say something about the machine. */
const CUDA_ERRORS: Readonly<Record<number, string>> = {
  2: "the GPU has too little free memory; see what else runs there with `nvidia-smi`, or set cuda.memoryLimit",
  35: "the NVIDIA driver is too old for CUDA 13; install driver 580 or newer",
  46: "the GPU is in use by another process alone (exclusive mode); see `nvidia-smi`",
  100: "there is a driver, but no GPU that it may use; in a container give it one (`docker run --gpus all`), and look at CUDA_VISIBLE_DEVICES",
  101: "there is no GPU of that number; `nvidia-smi -L` lists them from 0",
  209: "ONNX Runtime's CUDA provider has no code for this GPU; it needs compute capability 7.5 or newer",
  802: "the GPUs are not ready; on machines with NVSwitch start nvidia-fabricmanager",
  803: "driver and libcuda.so.1 are of different versions; reboot, or load the new kernel module",
};

/**
 * Say in one sentence why CUDA does not work, and in another what helps.
 * @param message what ONNX Runtime said.
 * @param dir the folder of the ONNX Runtime library that was loaded: the provider is looked for beside it.
 */
export function explainCudaFailure(message: string, dir: string): string {
  const code = /CUDA failure (\d+): ([^;]*?)\s*(?:;|$)/.exec(message);
  if (code) {
    const known = CUDA_ERRORS[Number(code[1])];
    return `CUDA error ${code[1]} (${code[2]})${known ? `: ${known}` : ""}`;
  }
  if (!/shared library|providers_(shared|cuda)|cannot open shared object/i.test(message)) return message;
  return missingPart(dir) ?? `${message} (everything that the provider in ${dir} needs can be loaded)`;
}

/** What of the provider, its libraries and the driver is missing; undefined when nothing is. */
export function missingPart(dir: string): string | undefined {
  const provider = join(dir, CUDA_PROVIDER);
  const files = [CUDA_PROVIDER, SHARED_PROVIDER].filter((name) => !existsSync(join(dir, name)));
  if (files.length > 0) {
    return `ONNX Runtime's CUDA provider is not installed: ${files.join(" and ")} missing in ${dir}. ${INSTALL} gets it`;
  }
  try {
    preloadCudaLibraries(dir);
  } catch (error) {
    return `${(error as Error).message}. ${INSTALL} gets CUDA's libraries again`;
  }
  const lacking = neededLibraries(provider).filter((name) => !loads(name));
  const libraries = lacking.filter((name) => name !== DRIVER);
  if (libraries.length > 0) {
    const { manifest } = cudaInstallation(dir);
    const remedy = manifest?.providerOnly
      ? `${INSTALL} without --provider-only gets them, or LD_LIBRARY_PATH names the folder of CUDA 13`
      : `${INSTALL} gets them`;
    return `ONNX Runtime's CUDA provider is in ${dir}, but not what it needs: ${libraries.join(", ")}. ${remedy}`;
  }
  if (lacking.includes(DRIVER)) {
    return (
      `the CUDA provider and its libraries are in ${dir}, but there is no NVIDIA driver (${DRIVER}). ` +
      "Install driver 580 or newer; in a container pass the GPU through (`docker run --gpus all`); else use --device cpu"
    );
  }
  return undefined;
}

/** Whether the dynamic linker finds a library, loaded before or not. */
function loads(name: string): boolean {
  try {
    koffi.load(name, { lazy: true });
    return true;
  } catch {
    return false;
  }
}
