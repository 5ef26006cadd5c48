/**
 * @file dlopen itself, for libraries that must never be unloaded. koffi closes its libraries when Node tears down
 * its environment, while the CUDA provider's own exit handler, which runs after that, still calls into ONNX
 * Runtime: the process would end in a segmentation fault after all work is done.
 */
import { koffi } from "../koffi.js";

// dlfcn.h, Linux.
const RTLD_LAZY = 0x1;
const RTLD_GLOBAL = 0x100;
const RTLD_NODELETE = 0x1000;

type Linker = {
  dlopen(path: string, flags: number): unknown;
  dlerror(): string | null;
};

let linker: Linker | undefined;

/**
 * Load a library by path or by name, for the rest of the process.
 * @param visible whether libraries that are loaded later may find its symbols without naming it as needed
 * @returns what the dynamic linker said when it does not load.
 */
export function openForGood(library: string, visible = true): string | undefined {
  linker ??= connect();
  if (linker.dlopen(library, RTLD_LAZY | RTLD_NODELETE | (visible ? RTLD_GLOBAL : 0))) return undefined;
  return linker.dlerror() ?? `${library}: unknown error`;
}

function connect(): Linker {
  const self = koffi.load(null);
  return {
    dlopen: self.func("void* dlopen(str path, int flags)") as Linker["dlopen"],
    dlerror: self.func("str dlerror()") as Linker["dlerror"],
  };
}
