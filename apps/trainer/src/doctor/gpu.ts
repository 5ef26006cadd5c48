/** @file NVIDIA's driver, the GPUs and their memory, and CUDA's libraries with their versions. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { cudaLibrariesDir, onnxRuntimeVersion } from "@insula/ort-session";
import { cudaInstallation } from "@insula/ort-session/cuda-libraries";
import { gigabytes } from "../plan.js";
import type { Finding, Surroundings } from "./finding.js";
import { GET_DRIVER, INSTALL, OLDEST_DRIVER } from "./fixes.js";

/** The libraries whose versions say what is installed. */
const LIBRARIES = [
  "libcudart.so.13",
  "libcublas.so.13",
  "libcublasLt.so.13",
  "libcurand.so.10",
  "libcudnn.so.9",
];

interface Gpu {
  name: string;
  /** Bytes; undefined where only the kernel module's files say what there is. */
  total?: number;
  used?: number;
  capability?: string;
}

export function examineGpu(around: Surroundings): Finding[] {
  const { version, gpus, problem } = askNvidiaSmi(around) ?? readProc(around);
  return [driver(version, problem), ...cards(gpus, version), provider(around), ...libraries(around)];
}

interface Found {
  version?: string;
  gpus: Gpu[];
  problem?: string;
}

/** Undefined where there is no nvidia-smi. */
function askNvidiaSmi({ env }: Surroundings): Found | undefined {
  const query = "name,memory.total,memory.used,driver_version,compute_cap";
  const args = [`--query-gpu=${query}`, "--format=csv,noheader,nounits"];
  const { status, stdout, stderr, error } = spawnSync("nvidia-smi", args, {
    encoding: "utf8",
    env,
    timeout: 30_000,
  });
  if (error && (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
  if (status !== 0)
    return { gpus: [], problem: `nvidia-smi: ${(stdout || stderr || `${error}`).trim().split("\n")[0]}` };
  const rows = stdout
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split(",").map((cell) => cell.trim()));
  const mebibytes = (text = "") => (Number.isNaN(Number(text)) ? {} : { bytes: Number(text) * 2 ** 20 });
  const gpus = rows.map(([name = "", total, used, , capability]): Gpu => {
    const [all, taken] = [mebibytes(total).bytes, mebibytes(used).bytes];
    return {
      name,
      ...(all === undefined ? {} : { total: all }),
      ...(taken === undefined ? {} : { used: taken }),
      ...(capability ? { capability } : {}),
    };
  });
  const version = rows[0]?.[3];
  return { gpus, ...(version ? { version } : {}) };
}

/** What the kernel module says of itself. */
function readProc({ root }: Surroundings): Found {
  const dir = join(root, "proc/driver/nvidia");
  const path = join(dir, "version");
  if (!existsSync(path)) return { gpus: [] };
  const version = /Module\s+(?:for \S+\s+)?(\d+(?:\.\d+)+)/.exec(readFileSync(path, "utf8"))?.[1];
  const folder = join(dir, "gpus");
  const gpus = (existsSync(folder) ? readdirSync(folder) : []).map((bus): Gpu => {
    const text = readFileSync(join(folder, bus, "information"), "utf8");
    return { name: /^Model:\s*(.+)$/m.exec(text)?.[1]?.trim() ?? bus };
  });
  return { gpus, ...(version ? { version } : {}) };
}

function driver(version: string | undefined, problem: string | undefined): Finding {
  const part = "nvidia driver";
  if (problem !== undefined) return { part, state: "missing", detail: problem, fix: GET_DRIVER };
  if (version === undefined)
    return { part, state: "missing", detail: "none; training runs on the CPU", fix: GET_DRIVER };
  if (Number.parseInt(version, 10) >= OLDEST_DRIVER) return { part, state: "ok", detail: version };
  return { part, state: "missing", detail: `${version} is too old for CUDA 13`, fix: GET_DRIVER };
}

function cards(gpus: readonly Gpu[], version: string | undefined): Finding[] {
  if (gpus.length === 0) {
    if (version === undefined) return [];
    const detail = "the driver is there, but no GPU is visible";
    return [{ part: "gpu", state: "missing", detail, fix: "docker run --gpus all; CUDA_VISIBLE_DEVICES" }];
  }
  return gpus.map(({ name, total, used, capability }, i): Finding => {
    const memory =
      total === undefined
        ? ""
        : `, ${used === undefined ? gigabytes(total) : `${gigabytes(total - used)} free of ${gigabytes(total)}`}`;
    const detail = `${name}${memory}${capability ? `, compute capability ${capability}` : ""}`;
    return { part: `gpu ${i}`, state: "ok", detail };
  });
}

/** ONNX Runtime's CUDA provider, where `--install-cuda` puts it. */
function provider({ env }: Surroundings): Finding {
  const part = "cuda provider";
  const { dir, state, missing, manifest } = cudaInstallation(cudaLibrariesDir(env));
  if (state === "absent") return { part, state: "missing", detail: `not in ${dir}`, fix: INSTALL };
  if (state === "incomplete") {
    return { part, state: "missing", detail: `${dir} lacks ${missing.join(", ")}`, fix: INSTALL };
  }
  const wanted = onnxRuntimeVersion();
  if (manifest && manifest.onnxRuntime !== wanted) {
    const detail = `${dir} is for ONNX Runtime ${manifest.onnxRuntime}, ${wanted} is installed`;
    return { part, state: "problem", detail, fix: INSTALL };
  }
  return { part, state: "ok", detail: `${state === "provider" ? "alone " : ""}in ${dir}` };
}

function libraries({ env, root }: Surroundings): Finding[] {
  const dir = cudaLibrariesDir(env);
  const { manifest } = cudaInstallation(dir);
  const folders = [join(dir, "lib"), ...(env["LD_LIBRARY_PATH"] ?? "").split(":").filter(Boolean)];
  const system = root === "/" ? linkerCache() : new Map<string, string>();
  const found = LIBRARIES.map((name) => {
    const path = folders.map((f) => join(f, name)).find((p) => existsSync(p)) ?? system.get(name);
    return { name, path };
  });
  const lacking = found.filter((f) => f.path === undefined).map((f) => f.name);
  const lines = found.flatMap(({ name, path }): Finding[] => {
    if (path === undefined) return [];
    const wheel = manifest?.files.find((f) => basename(f.path) === name)?.wheel;
    const version =
      path.startsWith(dir) && wheel !== undefined
        ? wheel.split("-")[1]
        : /\.so\.(.+)$/.exec(basename(realpathSync(path)))?.[1];
    return [{ part: name, state: "ok", detail: `${version ?? "version unknown"} in ${path}` }];
  });
  if (lacking.length === 0) return lines;
  return [
    ...lines,
    { part: "cuda libraries", state: "missing", detail: `no ${lacking.join(", ")}`, fix: INSTALL },
  ];
}

/** Name → path, as the dynamic linker knows them. */
function linkerCache(): Map<string, string> {
  for (const command of ["ldconfig", "/sbin/ldconfig"]) {
    const { status, stdout } = spawnSync(command, ["-p"], { encoding: "utf8", timeout: 20_000 });
    if (status !== 0) continue;
    const lines = stdout.matchAll(/^\s*(\S+) \(.*\) => (\S+)$/gm);
    return new Map([...lines].map(([, name = "", path = ""]) => [name, path]));
  }
  return new Map();
}
