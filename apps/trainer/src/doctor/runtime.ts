/**
 * @file ONNX Runtime: which library, and which of its execution providers come up. A provider counts only when a
 * session of one operator on it runs; that it is listed says nothing.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import {
  createSession,
  type OrtLibrary,
  onnxRuntimeLibrary,
  onnxRuntimeVersion,
  tensor,
} from "@insula/ort-session";
import { explainCudaFailure, missingPart } from "@insula/ort-session/cuda-libraries";
import { deviceFailure, oneNodeModel } from "../backend.js";
import type { Finding, Surroundings } from "./finding.js";
import { GET_DRIVER, INSTALL } from "./fixes.js";

const NOT_INSTALLED = "install the dependencies again: npx --yes pnpm@12.21.0 install";

export async function examineRuntime({ env }: Surroundings): Promise<Finding[]> {
  const part = "onnxruntime";
  const path = resolveFrom("@insula/ort-session", "onnxruntime-node");
  if (!path)
    return [{ part, state: "problem", detail: "onnxruntime-node is not installed", fix: NOT_INSTALLED }];
  const library = libraryOf(env);
  const from = library instanceof Error ? library.message : `${library.path} (${library.source})`;
  const version: Finding = { part, state: "ok", detail: `${onnxRuntimeVersion()}; ${from}` };
  return [version, ...nodeProviders(path), ...(await capiProviders(library))];
}

function libraryOf(env: NodeJS.ProcessEnv): OrtLibrary | Error {
  try {
    return onnxRuntimeLibrary(env);
  } catch (error) {
    return error as Error;
  }
}

/** What onnxruntime-node's package lists, each tried in a process of its own: a driver's fault ends only that one. */
function nodeProviders(path: string): Finding[] {
  const run = (script: string) =>
    spawnSync(process.execPath, ["-e", script, path, Buffer.from(oneNodeModel()).toString("base64")], {
      encoding: "utf8",
      timeout: 60_000,
    });
  const listed = run(LIST);
  if (listed.status !== 0) {
    const detail = `onnxruntime-node does not load: ${lastLine(listed.stderr)}`;
    return [{ part: "node: cpu", state: "problem", detail, fix: NOT_INSTALLED }];
  }
  return listed.stdout
    .trim()
    .split(" ")
    .map((name): Finding => {
      const part = `node: ${name}`;
      const { status, signal, stdout, stderr } = run(TRY.replace("PROVIDER", name));
      if (status === 0) return { part, state: "ok", detail: "runs" };
      const why = lastLine(stdout) || lastLine(stderr) || `ended with ${signal ?? status}`;
      const state = name === "cpu" ? "problem" : "missing";
      return { part, state, detail: brief(why), ...(name === "cpu" ? { fix: NOT_INSTALLED } : {}) };
    });
}

const LIST = 'console.log(require(process.argv[1]).listSupportedBackends().map((b) => b.name).join(" "))';
const TRY = `const ort = require(process.argv[1]);
const options = { executionProviders: ["PROVIDER"], logSeverityLevel: 4 };
ort.InferenceSession.create(Buffer.from(process.argv[2], "base64"), options)
  .then((session) => session.run({ x: new ort.Tensor("float32", [21], [1]) }))
  .then(({ y }) => process.exit(y.data[0] === 42 ? 0 : 1))
  .catch((error) => { console.log(error.message.split("\\n")[0]); process.exit(1); });`;

/** What an explanation says → what mends it. */
const FIXES: readonly (readonly [RegExp, string])[] = [
  [/doctor --install-cuda/, INSTALL],
  [/no NVIDIA driver|driver is too old/, GET_DRIVER],
  [/no GPU that it may use/, "docker run --gpus all; unset CUDA_VISIBLE_DEVICES"],
];

/** The two devices of the capi runtime. */
async function capiProviders(library: OrtLibrary | Error): Promise<Finding[]> {
  if (library instanceof Error) {
    return [{ part: "capi: cpu", state: "missing", detail: `${library.message}`, fix: "--runtime node" }];
  }
  const cpu = await tryDevice("cpu");
  const findings: Finding[] = [
    cpu === undefined
      ? { part: "capi: cpu", state: "ok", detail: "runs" }
      : { part: "capi: cpu", state: "problem", detail: brief(cpu), fix: NOT_INSTALLED },
  ];
  const dir = dirname(library.path);
  // Looked at before it is tried: ONNX Runtime writes its own lines to stderr when a library is missing.
  const missing = missingPart(dir);
  const failure = missing ?? (await tryDevice("cuda"));
  if (failure === undefined) return [...findings, { part: "capi: cuda", state: "ok", detail: "runs" }];
  const detail = missing ?? explainCudaFailure(failure, dir);
  const fix = FIXES.find(([sign]) => sign.test(detail))?.[1] ?? "--device cpu does without";
  return [...findings, { part: "capi: cuda", state: "missing", detail: brief(detail), fix }];
}

/** Run one operator; the message of what failed. */
async function tryDevice(device: "cpu" | "cuda"): Promise<string | undefined> {
  try {
    const session = await createSession(oneNodeModel(), { runtime: "capi", device });
    try {
      const { y } = await session.run({ x: tensor(Float32Array.of(21), [1]) });
      return y?.data[0] === 42 ? undefined : `21 + 21 came out as ${y?.data[0]}`;
    } finally {
      await session.release();
    }
  } catch (error) {
    return deviceFailure(error as Error);
  }
}

const lastLine = (text: string | null): string => (text ?? "").trim().split("\n").at(-1) ?? "";
const brief = (text: string): string => (text.length > 400 ? `${text.slice(0, 400)}…` : text);

/** Where `dependency` is found from inside `pkg`, both as Node resolves them. */
export function resolveFrom(pkg: string, dependency: string): string | undefined {
  const here = createRequire(import.meta.url);
  const folders = (here.resolve.paths(pkg) ?? []).map((p) => join(p, pkg));
  const root = folders.find((folder) => existsSync(folder)) ?? dirname(import.meta.url);
  try {
    return createRequire(join(root, "package.json")).resolve(dependency);
  } catch {
    return undefined;
  }
}
