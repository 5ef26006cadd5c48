/**
 * @file Load CUDA's runtime libraries before ONNX Runtime's CUDA provider asks for them: the dynamic linker then
 * knows them by their own names, and `LD_LIBRARY_PATH`, which it reads only when a process starts, is not needed.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import koffi from "koffi";
import { neededLibraries } from "./elf.js";

const done = new Set<string>();

/**
 * Load every library in `dir`/lib, each after those of them that it needs; a folder without `lib` has none. All of
 * them, so that what is missing shows here and not in the middle of a run. About half a second, once per process.
 * @throws InsulaError `session/device` naming the library that does not load and what it lacks.
 */
export function preloadCudaLibraries(dir: string): void {
  const lib = join(dir, "lib");
  if (done.has(lib) || !existsSync(lib)) return;
  for (const name of loadOrder(lib)) {
    try {
      // Global: cuDNN finds its other parts, and the provider the symbols, wherever they were loaded from.
      koffi.load(join(lib, name), { global: true, lazy: true });
    } catch (cause) {
      throw new InsulaError(
        "session/device",
        `CUDA: ${join(lib, name)} does not load: ${lacking((cause as Error).message)}`,
        { cause },
      );
    }
  }
  done.add(lib);
}

/** The libraries of a folder, each after those that it names as needed. */
export function loadOrder(lib: string): string[] {
  const names = new Set(
    readdirSync(lib)
      .filter((name) => /\.so(\.\d+)*$/.test(name))
      .sort(),
  );
  const order = new Set<string>();
  const visit = (name: string, above: readonly string[]) => {
    if (order.has(name) || above.includes(name)) return;
    for (const needed of neededLibraries(join(lib, name))) {
      if (names.has(needed)) visit(needed, [...above, name]);
    }
    order.add(name);
  };
  for (const name of names) visit(name, []);
  return [...order];
}

/** Packages of the libraries outside of CUDA that its libraries need. */
const SYSTEM: Readonly<Record<string, string>> = {
  "libz.so.1": "zlib (Debian: apt-get install zlib1g)",
  "libstdc++.so.6": "the C++ library (Debian: apt-get install libstdc++6)",
};

/** What the dynamic linker said, with the package of the library that it missed. */
function lacking(message: string): string {
  const name = /(lib[^\s:]+\.so[^\s:]*): cannot open shared object file/.exec(message)?.[1];
  const from = name === undefined ? undefined : SYSTEM[name];
  return from === undefined ? message : `${message}; it is part of ${from}`;
}
