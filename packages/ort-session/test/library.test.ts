import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { cudaProviderOptions } from "../src/capi/session-options.js";
import {
  createSession,
  cudaLibrariesDir,
  onnxRuntimeLibrary,
  onnxRuntimeVersion,
  parseDevice,
} from "../src/index.js";
import { UPDATE } from "./models.js";

const dir = mkdtempSync(join(tmpdir(), "insula-library-"));
afterAll(() => rmSync(dir, { recursive: true }));

test("without any setting it is onnxruntime-node's own", () => {
  const { path, source } = onnxRuntimeLibrary({ INSULA_CUDA_DIR: join(dir, "nothing") });
  expect(source).toBe("onnxruntime-node");
  expect(path).toMatch(/onnxruntime-node.*libonnxruntime\.so\.1$/);
  expect(existsSync(path)).toBe(true);
});

test("the folder of CUDA libraries counts once both libraries are there", () => {
  const env = { INSULA_CUDA_DIR: dir };
  writeFileSync(join(dir, "libonnxruntime.so.1"), "");
  expect(onnxRuntimeLibrary(env).source).toBe("onnxruntime-node");
  writeFileSync(join(dir, "libonnxruntime_providers_cuda.so"), "");
  expect(onnxRuntimeLibrary(env)).toEqual({ path: join(dir, "libonnxruntime.so.1"), source: "cuda" });
});

test("that folder is in the user's cache, by version", () => {
  const version = onnxRuntimeVersion();
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(cudaLibrariesDir({})).toBe(join(homedir(), ".cache", "insula", `cuda-${version}`));
  expect(cudaLibrariesDir({ XDG_CACHE_HOME: "/cache" })).toBe(`/cache/insula/cuda-${version}`);
  expect(cudaLibrariesDir({ XDG_CACHE_HOME: "/cache", INSULA_CUDA_DIR: "/cuda" })).toBe("/cuda");
});

test("INSULA_ORT_LIBRARY wins, and must exist", () => {
  mkdirSync(join(dir, "own"));
  const path = join(dir, "own", "libonnxruntime.so");
  const env = { INSULA_ORT_LIBRARY: path, INSULA_CUDA_DIR: dir };
  expect(() => onnxRuntimeLibrary(env)).toThrow(`INSULA_ORT_LIBRARY: ${path} does not exist`);
  writeFileSync(path, "");
  expect(onnxRuntimeLibrary(env)).toEqual({ path, source: "environment" });
});

test("devices by name", () => {
  expect([parseDevice("cpu"), parseDevice("cuda"), parseDevice("cuda:3")]).toEqual([
    { type: "cpu", index: 0 },
    { type: "cuda", index: 0 },
    { type: "cuda", index: 3 },
  ]);
  for (const name of ["", "cuda:", "cuda:-1", "cuda:x", "cuda:1.5", "CUDA", "cuda:01", "cpu:0"])
    expect(() => parseDevice(name), name).toThrow(
      `device: expected cpu, cuda or cuda:<number>, found '${name}'`,
    );
});

test("CUDA's options under ONNX Runtime's names", () => {
  expect(cudaProviderOptions(0)).toEqual({ device_id: "0" });
  expect(
    cudaProviderOptions(2, {
      memoryLimit: 8 * 2 ** 30,
      arenaExtend: "same-as-requested",
      tf32: false,
      cudnnConvAlgoSearch: "heuristic",
    }),
  ).toEqual({
    device_id: "2",
    gpu_mem_limit: "8589934592",
    arena_extend_strategy: "kSameAsRequested",
    use_tf32: "0",
    cudnn_conv_algo_search: "HEURISTIC",
  });
  for (const memoryLimit of [0, -1, 1.5, Number.NaN])
    expect(() => cudaProviderOptions(0, { memoryLimit })).toThrow("expected a number of bytes above 0");
});

test("the node runtime refuses CUDA options that it could not pass on", async () => {
  const options = { runtime: "node", device: "cuda", cuda: { tf32: false } } as const;
  await expect(createSession(UPDATE, options)).rejects.toThrow(
    "session: cuda.tf32: the node runtime cannot set it; use the capi runtime or leave it out",
  );
});
