/** @file Finding, loading and explaining: pip's settings, what libraries need, in which order, and what is missing. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { bundledLibraryDir } from "../src/capi/library.js";
import { neededLibraries } from "../src/cuda-libraries/elf.js";
import {
  explainCudaFailure,
  missingPart,
  packageSources,
  preloadCudaLibraries,
} from "../src/cuda-libraries/index.js";
import { loadOrder } from "../src/cuda-libraries/preload.js";
import { CUDA_PROVIDER, SHARED_PROVIDER } from "../src/cuda-libraries/wheels.js";
import { elf } from "./cuda-libraries/elf-writer.js";

const base = mkdtempSync(join(tmpdir(), "insula-load-"));
afterAll(() => rmSync(base, { recursive: true }));
let count = 0;
const folder = () => {
  const dir = join(base, `${count++}`);
  mkdirSync(join(dir, "lib"), { recursive: true });
  return dir;
};

describe("pip's settings", () => {
  const write = (text: string) => {
    const path = join(folder(), "pip.conf");
    writeFileSync(path, text);
    return { PIP_CONFIG_FILE: path, HOME: base };
  };

  test("without any: PyPI", () => {
    expect(packageSources({ PIP_CONFIG_FILE: "/dev/null" })).toEqual({
      index: "https://pypi.org/simple",
      folders: [],
    });
  });

  test("the environment wins over a file, section [global] counts, values go on in indented lines", () => {
    const conf = write(
      `# mine\n[install]\nindex-url = https://no\n[global]\ntimeout=3\nindex_url = https://a/simple/\nfind-links =\n  ${base}\n  https://b\n  /none\n`,
    );
    expect(packageSources(conf)).toEqual({ index: "https://a/simple", folders: [base] });
    expect(
      packageSources({ ...conf, PIP_INDEX_URL: "https://c/simple", PIP_FIND_LINKS: `file://${base}` }),
    ).toEqual({
      index: "https://c/simple",
      folders: [base],
    });
  });
});

describe("what a library needs", () => {
  test("is read as readelf reads it", () => {
    const path = join(bundledLibraryDir(), "libonnxruntime.so.1");
    expect(neededLibraries(path)).toEqual(expect.arrayContaining(["libc.so.6", "libm.so.6"]));
    const { status, stdout } = spawnSync("readelf", ["-d", path], { encoding: "utf8" });
    if (status !== 0) return; // binutils are not everywhere
    const names = [...stdout.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name);
    expect(neededLibraries(path)).toEqual(names);
  });

  test("a written header gives what was written; anything else has none", () => {
    const dir = folder();
    writeFileSync(join(dir, "a.so"), elf(["liba.so.1", "libcuda.so.1"]));
    expect(neededLibraries(join(dir, "a.so"))).toEqual(["liba.so.1", "libcuda.so.1"]);
    for (const bytes of ["", "text", "\x7fELF\x01\x01", elf([]).subarray(0, 70)]) {
      writeFileSync(join(dir, "b.so"), bytes);
      expect(neededLibraries(join(dir, "b.so"))).toEqual([]);
    }
  });

  test("each comes after those that it needs, whatever their names", () => {
    const dir = folder();
    const put = (name: string, ...needed: string[]) => writeFileSync(join(dir, "lib", name), elf(needed));
    put("liba.so.1", "libz9.so.2", "libc.so.6");
    put("libz9.so.2", "libm1.so");
    put("libm1.so", "liba.so.1"); // a circle ends
    put("notes.txt");
    expect(loadOrder(join(dir, "lib"))).toEqual(["libm1.so", "libz9.so.2", "liba.so.1"]);
  });

  test("real libraries are loaded; one that is none is named with what is wrong", () => {
    const dir = folder();
    copyFileSync(join(bundledLibraryDir(), "libonnxruntime.so.1"), join(dir, "lib", "libfirst.so.1"));
    preloadCudaLibraries(dir);
    const other = folder();
    writeFileSync(join(other, "lib", "libcudart.so.13"), "no library");
    expect(() => preloadCudaLibraries(other)).toThrow(
      expect.objectContaining({
        code: "session/device",
        message: expect.stringMatching(/CUDA: .*lib\/libcudart\.so\.13 does not load: .*(ELF|too short)/),
      }),
    );
    preloadCudaLibraries(join(base, "nowhere"));
  });
});

describe("why CUDA does not work", () => {
  const SAID = "OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library";
  const withProvider = (...needed: string[]) => {
    const dir = folder();
    writeFileSync(join(dir, SHARED_PROVIDER), elf([]));
    writeFileSync(join(dir, CUDA_PROVIDER), elf(needed));
    return dir;
  };

  test("no provider", () => {
    const dir = folder();
    expect(explainCudaFailure(SAID, dir)).toBe(
      `ONNX Runtime's CUDA provider is not installed: ${CUDA_PROVIDER} and ${SHARED_PROVIDER} missing in ${dir}. ` +
        "`insula doctor --install-cuda` gets it",
    );
  });

  test("a provider without CUDA's libraries", () => {
    const dir = withProvider("libc.so.6", "libcublasNone.so.13", "libcudaNone.so.1");
    expect(explainCudaFailure(SAID, dir)).toBe(
      `ONNX Runtime's CUDA provider is in ${dir}, but not what it needs: libcublasNone.so.13, libcudaNone.so.1. ` +
        "`insula doctor --install-cuda` gets them",
    );
    const manifest = { format: "insula-cuda-libraries/1", providerOnly: true, wheels: [], files: [] };
    writeFileSync(join(dir, "manifest.json"), JSON.stringify(manifest));
    expect(explainCudaFailure(SAID, dir)).toContain("without --provider-only");
  });

  test("no driver", () => {
    if (existsSync("/proc/driver/nvidia/version")) return; // there is one
    const dir = withProvider("libc.so.6", "libcuda.so.1");
    expect(explainCudaFailure(SAID, dir)).toMatch(
      /^the CUDA provider and its libraries are in .*, but there is no NVIDIA driver \(libcuda\.so\.1\)\. Install/,
    );
  });

  test("a library that does not load", () => {
    const dir = withProvider("libc.so.6");
    writeFileSync(join(dir, "lib", "libcudnn.so.9"), "half a file");
    expect(explainCudaFailure(SAID, dir)).toMatch(
      /libcudnn\.so\.9 does not load: .*gets CUDA's libraries again$/,
    );
  });

  test("everything there: what ONNX Runtime said stays", () => {
    const dir = withProvider("libc.so.6");
    expect(missingPart(dir)).toBeUndefined();
    expect(explainCudaFailure(SAID, dir)).toMatch(/^OrtSession.* \(everything that the provider in /);
  });

  test.each([
    [
      "CreateSession: a.cc:1 T f(U) [with E = cudaError] CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=vm ;",
      /^CUDA error 100 \(no CUDA-capable device is detected\): there is a driver, but no GPU .*--gpus all/,
    ],
    [
      "x CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1",
      /^CUDA error 35 .*install driver 580 or newer$/,
    ],
    ["x CUDA failure 999: unknown error", /^CUDA error 999 \(unknown error\)$/],
    ["the graph has a circle", /^the graph has a circle$/],
  ])("%s", (said, text) => {
    expect(explainCudaFailure(said, "/nowhere")).toMatch(text);
  });
});
