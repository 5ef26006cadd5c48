/**
 * @file Where a command computes: device, runtime and CUDA's settings, and the check, before any work, that the
 * device comes up.
 */
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { add, createGraph, input, serialize } from "@insula/onnx-grad";
import {
  type CudaOptions,
  createSession,
  type Device,
  defaultRuntime,
  onnxRuntimeLibrary,
  parseDevice,
  type Runtime,
} from "@insula/ort-session";
import { explainCudaFailure, missingPart } from "@insula/ort-session/cuda-libraries";
import type { CudaConfig, RunConfig } from "./configs/types.js";

/** Options of sessions, samplers and training sessions that say where they compute. */
export interface Backend {
  device: Device;
  runtime?: Runtime;
  cuda?: CudaOptions;
}

/** What a configuration or a command line asks for; CUDA's settings are left out on the CPU. */
export function makeBackend(settings: {
  device: Device;
  runtime?: Runtime | null;
  cuda?: Partial<CudaConfig>;
}): Backend {
  const { device, runtime, cuda = {} } = settings;
  const given = Object.entries(cuda).filter(([, value]) => value !== null && value !== undefined);
  const onCuda = parseDevice(device).type === "cuda";
  return {
    device,
    ...(runtime ? { runtime } : {}),
    ...(onCuda && given.length > 0 ? { cuda: Object.fromEntries(given) as CudaOptions } : {}),
  };
}

/** Where optimised graphs are kept from run to run. */
export function modelCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "insula", "models");
}

/**
 * Check that the device can compute in the type that is asked for.
 * @throws InsulaError `config/field` for bfloat16 on the CPU.
 */
export function assertComputes({ computeType, device }: Pick<RunConfig, "computeType" | "device">): void {
  if (computeType !== "bfloat16" || parseDevice(device).type !== "cpu") return;
  throw new InsulaError(
    "config/field",
    "config: computeType: bfloat16 needs --device cuda: ONNX Runtime multiplies no bfloat16 matrices on the CPU; " +
      "leave it at float32 there",
  );
}

/**
 * Open a session of one operator on the device, so that a device that is not there is an error before anything is
 * opened or written.
 * @throws InsulaError `device/unavailable` with what is missing and what helps.
 */
export async function assertDevice(backend: Backend): Promise<void> {
  if (parseDevice(backend.device).type === "cpu") return;
  const { device, runtime = defaultRuntime() } = backend;
  const unavailable = (why: string, cause?: unknown) =>
    new InsulaError("device/unavailable", `--device ${device}: ${why}`, { cause });
  const dir = runtime === "capi" ? dirname(onnxRuntimeLibrary().path) : undefined;
  // Looked at before it is tried: ONNX Runtime writes lines of its own when a library is missing.
  const missing = dir === undefined ? undefined : missingPart(dir);
  if (missing !== undefined) throw unavailable(missing);
  try {
    await (await createSession(oneNodeModel(), backend)).release();
  } catch (cause) {
    const said = deviceFailure(cause as Error);
    if (dir !== undefined) throw unavailable(explainCudaFailure(said, dir), cause);
    const remedy = "use --runtime capi, for which `insula doctor --install-cuda` gets one";
    throw unavailable(`the node runtime has no CUDA provider (${said}); ${remedy}`, cause);
  }
}

/** Why a session on a device failed, without the words that say that it did. */
export function deviceFailure({ message }: Error): string {
  return message.replace(/^session: device '[^']*' does not \w+ here: /, "");
}

/** x + x over float32 `[1]`, serialised: the smallest thing that a provider can be asked to run. */
export function oneNodeModel(): Uint8Array {
  const graph = createGraph();
  const x = input(graph, "x", "float32", [1]);
  return serialize(graph, new Map([["y", add(x, x)]])).bytes;
}
