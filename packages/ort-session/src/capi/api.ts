/**
 * @file ONNX Runtime's C API through koffi: a table of function pointers, each called by its index.
 */
import { InsulaError } from "@insula/model-types";
import { ASYNC_STACK, hasAsyncStack, koffi } from "../koffi.js";
import { API_VERSION, FUNCTIONS, type FunctionName } from "./functions.js";
import { onnxRuntimeLibrary } from "./library.js";

/** A native pointer. */
export type Handle = unknown;

type Native = ((...args: unknown[]) => unknown) & { async: (...args: unknown[]) => void };

export interface Api {
  /** Call a function that returns a status. @throws InsulaError `ort/<code>` with ONNX Runtime's message. */
  call(name: FunctionName, ...args: unknown[]): void;
  /** Call a function whose last parameter is where it writes its result. */
  get<T = Handle>(name: FunctionName, ...args: unknown[]): T;
  /** As `call`, on another thread. */
  callAsync(name: FunctionName, ...args: unknown[]): Promise<void>;
  /** As `get`, on another thread. */
  getAsync<T = Handle>(name: FunctionName, ...args: unknown[]): Promise<T>;
  /** Call a function without a status: those that release a handle, and plain getters. */
  plain(name: FunctionName, ...args: unknown[]): void;
  /** Read a C string that stays ONNX Runtime's. */
  string(pointer: Handle): string;
  /** Read and free a C string that ONNX Runtime allocated. */
  takeString(pointer: Handle): string;
  /** Read an array of pointers. */
  pointers(array: Handle, count: number): Handle[];
  env: Handle;
  /** ONNX Runtime's allocator for strings. */
  allocator: Handle;
  /** OrtMemoryInfo of host memory. */
  hostMemory: Handle;
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

/** OrtLoggingLevel: errors only. */
const LOG_ERRORS = 3;
/** OrtAllocatorType OrtDeviceAllocator, OrtMemType OrtMemTypeDefault. */
export const DEVICE_ALLOCATOR = 0;
export const DEFAULT_MEMORY = 0;

let loaded: Api | undefined;
/** Referenced for good: koffi unloads a library once its handle is collected, whoever still points into it. */
let library: ReturnType<typeof koffi.load> | undefined;

/** The API, loaded on first use. @throws InsulaError `ort/load` naming the file when the library does not load. */
export function ortApi(): Api {
  loaded ??= connect(load(onnxRuntimeLibrary().path));
  return loaded;
}

/** The function table of a library. */
function load(path: string): Handle {
  let table: Handle;
  try {
    if (!hasAsyncStack()) {
      throw new Error(
        "a library was loaded through koffi before this package was imported; import it earlier, or call " +
          `koffi.config({ async_stack_size: ${ASYNC_STACK} }) first`,
      );
    }
    library = koffi.load(path);
    const base = library.func("void* OrtGetApiBase()")() as Handle;
    const getApi = koffi.decode(base, 0, "void*");
    table = koffi.call(getApi, koffi.proto("void* InsulaGetApi(uint32_t version)"), API_VERSION);
  } catch (cause) {
    throw new InsulaError("ort/load", `capi runtime: ${path} does not load: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (!table)
    throw new InsulaError("ort/load", `capi runtime: ${path} does not offer API version ${API_VERSION}`);
  return table;
}

function connect(table: Handle): Api {
  const functions = new Map<FunctionName, Native>();
  const native = (name: FunctionName): Native => {
    let fn = functions.get(name);
    if (!fn) {
      const [index, signature] = FUNCTIONS[name];
      const pointer = koffi.decode(table, index * 8, "void*");
      fn = koffi.decode(pointer, koffi.proto(signature.replace("%", `Insula${name}`))) as Native;
      functions.set(name, fn);
    }
    return fn;
  };
  const check = (name: FunctionName, status: Handle) => {
    if (!status) return;
    const code = ERROR_CODES[native("GetErrorCode")(status) as number] ?? "unknown";
    const message = native("GetErrorMessage")(status) as string;
    native("ReleaseStatus")(status);
    throw new InsulaError(`ort/${code}`, `${name}: ${message}`);
  };
  const callAsync = (name: FunctionName, ...args: unknown[]) =>
    new Promise<void>((resolve, reject) => {
      native(name).async(...args, (error: Error | null, status: Handle) => {
        try {
          if (error) throw error;
          check(name, status);
          resolve();
        } catch (failure) {
          reject(failure);
        }
      });
    });
  const api: Api = {
    call: (name, ...args) => check(name, native(name)(...args)),
    get<T>(name: FunctionName, ...args: unknown[]) {
      const out: [T | null] = [null];
      check(name, native(name)(...args, out));
      return out[0] as T;
    },
    callAsync,
    async getAsync<T>(name: FunctionName, ...args: unknown[]) {
      const out: [T | null] = [null];
      await callAsync(name, ...args, out);
      return out[0] as T;
    },
    plain: (name, ...args) => void native(name)(...args),
    string: (pointer) => koffi.decode(pointer, "char", -1) as string,
    takeString(pointer) {
      const text = api.string(pointer);
      api.call("AllocatorFree", api.allocator, pointer);
      return text;
    },
    pointers: (array, count) => (count === 0 ? [] : (koffi.decode(array, "void*", count) as Handle[])),
    env: undefined,
    allocator: undefined,
    hostMemory: undefined,
  };
  // One of each per process, never released.
  api.env = api.get("CreateEnv", LOG_ERRORS, "insula");
  api.allocator = api.get("GetAllocatorWithDefaultOptions");
  api.hostMemory = api.get("CreateCpuMemoryInfo", DEVICE_ALLOCATOR, DEFAULT_MEMORY);
  return api;
}
