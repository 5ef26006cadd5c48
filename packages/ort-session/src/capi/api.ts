/**
 * @file ONNX Runtime's C API through koffi, on the very library that onnxruntime-node ships. The API is a table
 * of function pointers that only ever grows at its end (onnxruntime_c_api.h, `struct OrtApi`), so a function is
 * its index; those used here are listed with theirs.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { InsulaError } from "@insula/model-types";
import koffi from "koffi";

/** A native pointer. */
export type Handle = unknown;

/** The oldest API version that has everything used here. */
const API_VERSION = 23;

/** Index in OrtApi and C signature, results written through the last `void**`. */
const FUNCTIONS = {
  GetErrorCode: [1, "int %(void* status)"],
  GetErrorMessage: [2, "str %(void* status)"],
  CreateEnv: [3, "void* %(int level, str id, _Out_ void** out)"],
  CreateSession: [7, "void* %(void* env, str path, void* options, _Out_ void** out)"],
  CreateSessionFromArray: [8, "void* %(void* env, void* data, size_t size, void* options, _Out_ void** out)"],
  CreateSessionOptions: [10, "void* %(_Out_ void** out)"],
  SetOptimizedModelFilePath: [11, "void* %(void* options, str path)"],
  EnableProfiling: [14, "void* %(void* options, str prefix)"],
  SetSessionLogSeverityLevel: [22, "void* %(void* options, int level)"],
  SetSessionGraphOptimizationLevel: [23, "void* %(void* options, int level)"],
  SetIntraOpNumThreads: [24, "void* %(void* options, int threads)"],
  SessionGetInputCount: [30, "void* %(void* session, _Out_ size_t* out)"],
  SessionGetOutputCount: [31, "void* %(void* session, _Out_ size_t* out)"],
  SessionGetInputTypeInfo: [33, "void* %(void* session, size_t index, _Out_ void** out)"],
  SessionGetOutputTypeInfo: [34, "void* %(void* session, size_t index, _Out_ void** out)"],
  SessionGetInputName: [36, "void* %(void* session, size_t index, void* allocator, _Out_ void** out)"],
  SessionGetOutputName: [37, "void* %(void* session, size_t index, void* allocator, _Out_ void** out)"],
  CreateTensorAsOrtValue: [
    48,
    "void* %(void* allocator, int64_t* shape, size_t rank, int type, _Out_ void** out)",
  ],
  CreateTensorWithDataAsOrtValue: [
    49,
    "void* %(void* info, void* data, size_t bytes, int64_t* shape, size_t rank, int type, _Out_ void** out)",
  ],
  CastTypeInfoToTensorInfo: [55, "void* %(void* info, _Out_ void** out)"],
  GetTensorElementType: [60, "void* %(void* info, _Out_ int* out)"],
  GetDimensionsCount: [61, "void* %(void* info, _Out_ size_t* out)"],
  GetDimensions: [62, "void* %(void* info, _Out_ int64_t* out, size_t rank)"],
  CreateMemoryInfo: [68, "void* %(str name, int type, int id, int memory, _Out_ void** out)"],
  CreateCpuMemoryInfo: [69, "void* %(int type, int memory, _Out_ void** out)"],
  AllocatorFree: [76, "void* %(void* allocator, void* pointer)"],
  GetAllocatorWithDefaultOptions: [78, "void* %(_Out_ void** out)"],
  ReleaseStatus: [93, "void %(void* status)"],
  ReleaseMemoryInfo: [94, "void %(void* info)"],
  ReleaseSession: [95, "void %(void* session)"],
  ReleaseValue: [96, "void %(void* value)"],
  ReleaseTypeInfo: [98, "void %(void* info)"],
  ReleaseSessionOptions: [100, "void %(void* options)"],
  SessionEndProfiling: [110, "void* %(void* session, void* allocator, _Out_ void** out)"],
  AddSessionConfigEntry: [130, "void* %(void* options, str key, str value)"],
  CreateAllocator: [131, "void* %(void* session, void* info, _Out_ void** out)"],
  ReleaseAllocator: [132, "void %(void* allocator)"],
  RunWithBinding: [133, "void* %(void* session, void* options, void* binding)"],
  CreateIoBinding: [134, "void* %(void* session, _Out_ void** out)"],
  ReleaseIoBinding: [135, "void %(void* binding)"],
  BindInput: [136, "void* %(void* binding, str name, void* value)"],
  BindOutput: [137, "void* %(void* binding, str name, void* value)"],
  SynchronizeBoundInputs: [202, "void* %(void* binding)"],
  SynchronizeBoundOutputs: [203, "void* %(void* binding)"],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, "void* %(void* options, void* cuda)"],
  CreateCUDAProviderOptions: [205, "void* %(_Out_ void** out)"],
  UpdateCUDAProviderOptions: [206, "void* %(void* cuda, str* keys, str* values, size_t count)"],
  ReleaseCUDAProviderOptions: [208, "void %(void* cuda)"],
} as const;

type Name = keyof typeof FUNCTIONS;
type Native = ((...args: unknown[]) => unknown) & { async: (...args: unknown[]) => void };

export interface Api {
  /** Call a function that returns a status. @throws InsulaError `ort/<code>` with ONNX Runtime's message. */
  call(name: Name, ...args: unknown[]): void;
  /** Call a function whose last parameter is where it writes its result. */
  get<T = Handle>(name: Name, ...args: unknown[]): T;
  /** As `call`, on another thread. */
  callAsync(name: Name, ...args: unknown[]): Promise<void>;
  /** Call a `Release…` function. */
  release(name: Name, handle: Handle): void;
  /** A C string that ONNX Runtime allocated, freed once read. */
  takeString(pointer: Handle): string;
  env: Handle;
  allocator: Handle;
}

/** OrtErrorCode by number. */
const ERROR_CODES = [
  "ok",
  "fail",
  "invalid-argument",
  "no-such-file",
  "no-model",
  "engine-error",
  "runtime-exception",
  "invalid-protobuf",
  "model-loaded",
  "not-implemented",
  "invalid-graph",
  "ep-fail",
];

let loaded: Api | undefined;

/** The API, loaded on first use. @throws InsulaError `ort/load` naming the file when the library does not load. */
export function ortApi(): Api {
  loaded ??= load();
  return loaded;
}

/** The folder of the library that onnxruntime-node loads on this platform. */
export function ortLibraryDir(): string {
  const main = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(main), "..", "bin", "napi-v6", process.platform, process.arch);
}

function load(): Api {
  const path = join(ortLibraryDir(), "libonnxruntime.so.1");
  if (!existsSync(path)) {
    throw new InsulaError(
      "ort/load",
      `capi runtime: ${path} does not exist; use the node runtime on ${process.platform}/${process.arch}`,
    );
  }
  let table: Handle;
  try {
    const base = koffi.load(path).func("void* OrtGetApiBase()")() as Handle;
    const getApi = koffi.decode(base, 0, "void*");
    table = koffi.call(getApi, koffi.proto("void* InsulaGetApi(uint32_t version)"), API_VERSION);
  } catch (cause) {
    throw new InsulaError("ort/load", `capi runtime: ${path} does not load: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (!table)
    throw new InsulaError("ort/load", `capi runtime: ${path} does not offer API version ${API_VERSION}`);

  const functions = new Map<Name, Native>();
  const native = (name: Name): Native => {
    let fn = functions.get(name);
    if (!fn) {
      const [index, signature] = FUNCTIONS[name];
      const pointer = koffi.decode(table, index * 8, "void*");
      fn = koffi.decode(pointer, koffi.proto(signature.replace("%", `Insula${name}`))) as Native;
      functions.set(name, fn);
    }
    return fn;
  };
  const check = (name: Name, status: Handle) => {
    if (!status) return;
    const code = ERROR_CODES[native("GetErrorCode")(status) as number] ?? "unknown";
    const message = native("GetErrorMessage")(status) as string;
    native("ReleaseStatus")(status);
    throw new InsulaError(`ort/${code}`, `${name}: ${message}`);
  };
  const api: Api = {
    call: (name, ...args) => check(name, native(name)(...args)),
    get<T>(name: Name, ...args: unknown[]) {
      const out: [T | null] = [null];
      check(name, native(name)(...args, out));
      return out[0] as T;
    },
    callAsync: (name, ...args) =>
      new Promise((resolve, reject) => {
        native(name).async(...args, (error: Error | null, status: Handle) => {
          try {
            if (error) throw error;
            check(name, status);
            resolve();
          } catch (failure) {
            reject(failure);
          }
        });
      }),
    release: (name, handle) => {
      native(name)(handle);
    },
    takeString(pointer) {
      const text = koffi.decode(pointer, "char", -1) as string;
      api.call("AllocatorFree", api.allocator, pointer);
      return text;
    },
    env: undefined,
    allocator: undefined,
  };
  api.env = api.get("CreateEnv", 3, "insula"); // log errors only; one environment per process
  api.allocator = api.get("GetAllocatorWithDefaultOptions");
  return api;
}
