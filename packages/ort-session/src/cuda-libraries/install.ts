/**
 * @file Put CUDA's provider and libraries into a folder from which ONNX Runtime loads them. The folder appears whole:
 * everything is gathered beside it, in `<dir>.partial`, where a run that was stopped is continued, and renamed.
 */
import { existsSync, rmSync } from "node:fs";
import { copyFile, link, mkdir, open, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { bundledLibraryDir, cudaLibrariesDir, onnxRuntimeVersion } from "../capi/library.js";
import { download, sha256Of } from "./download.js";
import {
  type CudaManifest,
  cudaInstallation,
  type InstalledFile,
  MANIFEST,
  ORT_LIBRARY,
} from "./manifest.js";
import { type PackageSources, packageSources } from "./pip-config.js";
import { findWheel, type IndexedFile } from "./simple-index.js";
import { CUDA_WHEELS, providerWheel, type Wheel, wheelMachine } from "./wheels.js";
import { extract, listZip } from "./zip.js";

export interface InstallOptions {
  /** Default {@link cudaLibrariesDir}. */
  dir?: string;
  /** Without CUDA's own libraries: the system has them on its library path. */
  providerOnly?: boolean;
  /** Called with a line for each thing done. */
  log?: (line: string) => void;
  /** Called as a wheel's bytes arrive. */
  onProgress?: (filename: string, received: number, total: number | undefined) => void;
  signal?: AbortSignal;
  /** Default: what pip's settings on this machine say. */
  sources?: PackageSources;
  /** For tests: other wheels than those of this version of ONNX Runtime. */
  wheels?: readonly Wheel[];
}

/** What was done. */
export interface InstallResult {
  dir: string;
  manifest: CudaManifest;
  /** False when everything was there already. */
  changed: boolean;
  /** Bytes that came over the network. */
  downloaded: number;
}

/**
 * Install the CUDA provider for onnxruntime-node's version. Nothing happens when it is there already.
 * @throws InsulaError `cuda/platform`, `cuda/offline`, `cuda/index`, `cuda/corrupt`, `cuda/wheel`, `cuda/disk` when
 *   the disk is too full, `cuda/busy` when another process installs there; an installation that was there stays.
 */
export async function installCudaLibraries(options: InstallOptions = {}): Promise<InstallResult> {
  const { dir = cudaLibrariesDir(), providerOnly = false, log = () => undefined } = options;
  wheelMachine();
  const version = onnxRuntimeVersion();
  const all = options.wheels ?? [providerWheel(version), ...CUDA_WHEELS];
  const wheels = all.filter((w) => !providerOnly || w.into === "provider");
  const present = cudaInstallation(dir);
  if (present.manifest && present.missing.length === 0 && holdsAll(present.manifest, version, wheels)) {
    return { dir, manifest: present.manifest, changed: false, downloaded: 0 };
  }
  const stage = `${dir}.partial`;
  await makeStage(stage);
  const unlock = await lock(stage);
  try {
    await checkSpace(stage, wheels);
    const sources = options.sources ?? packageSources();
    const manifest: CudaManifest = {
      format: "insula-cuda-libraries/1",
      onnxRuntime: version,
      providerOnly,
      wheels: [],
      files: [],
    };
    let downloaded = 0;
    for (const wheel of wheels) {
      options.signal?.throwIfAborted();
      const kept = await takeOver(wheel, present.manifest, dir, stage);
      if (kept) {
        manifest.wheels.push(kept.wheel);
        manifest.files.push(...kept.files);
        log(`${wheel.project} ${wheel.version}: kept`);
        continue;
      }
      const local = (name: string) => sources.folders.map((f) => join(f, name)).find((p) => existsSync(p));
      const file = await findWheel(sources.index, wheel, (name) => local(name) !== undefined);
      manifest.wheels.push({
        project: wheel.project,
        version: wheel.version,
        filename: file.filename,
        url: file.url,
        sha256: file.sha256,
      });
      const done = await readRecord(stage, file);
      if (done) {
        manifest.files.push(...done);
        log(`${wheel.project} ${wheel.version}: unpacked before`);
        continue;
      }
      const fetched = await obtain(file, stage, local(file.filename), options);
      downloaded += fetched.downloaded;
      const files = await unpack(wheel, file, fetched.path, stage);
      await writeRecord(stage, file, files);
      if (fetched.temporary) await rm(fetched.path, { force: true });
      manifest.files.push(...files);
      log(`${wheel.project} ${wheel.version}: ${files.map((f) => basename(f.path)).join(", ")}`);
    }
    manifest.files.push(await copyRuntime(stage));
    await writeFile(join(stage, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
    await rm(join(stage, RECORDS), { recursive: true, force: true });
    await putInPlace(stage, dir);
    return { dir, manifest, changed: true, downloaded };
  } finally {
    unlock();
  }
}

/** Notes of what has been unpacked, while gathering. */
const RECORDS = ".unpacked";
const LOCK = ".lock";

function holdsAll(manifest: CudaManifest, version: string, wheels: readonly Wheel[]): boolean {
  const has = (w: Wheel) => manifest.wheels.some((m) => m.project === w.project && m.version === w.version);
  return manifest.onnxRuntime === version && wheels.every(has);
}

async function makeStage(stage: string): Promise<void> {
  try {
    await mkdir(join(stage, RECORDS), { recursive: true });
    await mkdir(join(stage, "lib"), { recursive: true });
  } catch (cause) {
    throw new InsulaError("cuda/dir", `${stage} cannot be made: ${(cause as Error).message}`, { cause });
  }
}

/** One process at a time; a lock whose process is gone is taken over. */
async function lock(stage: string): Promise<() => void> {
  const path = join(stage, LOCK);
  for (let attempt = 0; ; attempt++) {
    try {
      const handle = await open(path, "wx");
      await handle.writeFile(`${process.pid}`);
      await handle.close();
      return () => rmSync(path, { force: true });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
      const pid = Number(await readFile(path, "utf8").catch(() => ""));
      if (attempt > 0 || (pid > 0 && isRunning(pid))) {
        throw new InsulaError(
          "cuda/busy",
          `process ${pid} is installing into ${stage}; wait until it is done`,
        );
      }
      await rm(path, { force: true });
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** What is unpacked, and once the largest wheel: each is deleted when its files are out. */
async function checkSpace(stage: string, wheels: readonly Wheel[]): Promise<void> {
  const unpacked = wheels.reduce((sum, w) => sum + w.unpackedBytes, 0);
  // Libraries shrink by a third or more in a wheel.
  const needed = unpacked + 0.8 * Math.max(...wheels.map((w) => w.unpackedBytes));
  const { bavail, bsize } = await statfs(stage);
  if (bavail * bsize >= needed) return;
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new InsulaError(
    "cuda/disk",
    `${stage}: ${gb(needed)} are needed, ${gb(bavail * bsize)} are free; --dir or INSULA_CUDA_DIR names another disk, ` +
      "--provider-only takes 0.5 GB where CUDA 13 is installed",
  );
}

/** Files of an earlier installation that are still right, linked over. */
async function takeOver(
  wheel: Wheel,
  earlier: CudaManifest | undefined,
  dir: string,
  stage: string,
): Promise<{ wheel: CudaManifest["wheels"][number]; files: InstalledFile[] } | undefined> {
  const listed = earlier?.wheels.find((w) => w.project === wheel.project && w.version === wheel.version);
  const files = earlier?.files.filter((f) => f.wheel === listed?.filename) ?? [];
  if (!listed || files.length !== wheel.files.length) return undefined;
  for (const { path, sha256 } of files) {
    const from = join(dir, path);
    if (!existsSync(from) || (await sha256Of(from)) !== sha256) return undefined;
    const to = join(stage, path);
    await rm(to, { force: true });
    await link(from, to).catch(() => copyFile(from, to));
  }
  return { wheel: listed, files };
}

/** The wheel as a file: from a folder of wheels when it is the very one, else downloaded. */
async function obtain(
  file: IndexedFile,
  stage: string,
  local: string | undefined,
  { log, onProgress, signal }: InstallOptions,
): Promise<{ path: string; temporary: boolean; downloaded: number }> {
  if (local !== undefined) {
    if ((await sha256Of(local)) === file.sha256) return { path: local, temporary: false, downloaded: 0 };
    log?.(`${local} is not the file that the index lists; downloading`);
  }
  const path = join(stage, file.filename);
  let first: number | undefined;
  let last = 0;
  await download(file, path, {
    onProgress: (received, total) => {
      first ??= received;
      last = received;
      onProgress?.(file.filename, received, total);
    },
    ...(signal ? { signal } : {}),
  });
  return { path, temporary: true, downloaded: last - (first ?? last) };
}

/** @throws InsulaError `cuda/wheel` when the wheel lacks a file or has two of a name. */
async function unpack(
  wheel: Wheel,
  { filename }: IndexedFile,
  path: string,
  stage: string,
): Promise<InstalledFile[]> {
  const entries = await listZip(path);
  const files: InstalledFile[] = [];
  for (const name of wheel.files) {
    const found = entries.filter((e) => basename(e.name) === name && !e.name.split("/").includes(".."));
    if (found.length !== 1) {
      throw new InsulaError("cuda/wheel", `${path}: expected one ${name} in it, found ${found.length}`);
    }
    // The path is ours: nothing of the archive's own name is used.
    const to = wheel.into === "lib" ? join("lib", name) : name;
    const beside = join(stage, `${to}.unpacking`);
    await extract(path, found[0]!, beside);
    const sha256 = await sha256Of(beside);
    await rename(beside, join(stage, to));
    files.push({ path: to, size: found[0]!.size, sha256, wheel: filename });
  }
  return files;
}

/** ONNX Runtime looks for the provider beside its own library: a copy of onnxruntime-node's. */
async function copyRuntime(stage: string): Promise<InstalledFile> {
  const to = join(stage, ORT_LIBRARY);
  const beside = `${to}.copying`;
  await copyFile(join(bundledLibraryDir(), ORT_LIBRARY), beside);
  const sha256 = await sha256Of(beside);
  const handle = await open(beside, "r");
  const { size } = await handle.stat();
  await handle.close();
  await rename(beside, to);
  return { path: ORT_LIBRARY, size, sha256 };
}

const recordPath = (stage: string, file: IndexedFile) => join(stage, RECORDS, `${file.filename}.json`);

async function writeRecord(stage: string, file: IndexedFile, files: InstalledFile[]): Promise<void> {
  const path = recordPath(stage, file);
  await writeFile(`${path}.new`, JSON.stringify({ sha256: file.sha256, files }));
  await rename(`${path}.new`, path);
}

/** The files of a wheel that an earlier run has unpacked, if they are all there as they were. */
async function readRecord(stage: string, file: IndexedFile): Promise<InstalledFile[] | undefined> {
  const text = await readFile(recordPath(stage, file), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const { sha256, files } = JSON.parse(text) as { sha256: string; files: InstalledFile[] };
  if (sha256 !== file.sha256) return undefined;
  for (const f of files) {
    const path = join(stage, f.path);
    if (!existsSync(path) || (await sha256Of(path)) !== f.sha256) return undefined;
  }
  return files;
}

/** The gathered folder takes the place of what was there. */
async function putInPlace(stage: string, dir: string): Promise<void> {
  await rm(join(stage, LOCK), { force: true });
  const old = `${dir}.old`;
  await rm(old, { recursive: true, force: true });
  await mkdir(dirname(dir), { recursive: true });
  if (existsSync(dir)) await rename(dir, old);
  try {
    await rename(stage, dir);
  } catch (cause) {
    if (existsSync(old)) await rename(old, dir);
    throw new InsulaError("cuda/dir", `${dir} cannot be replaced: ${(cause as Error).message}`, { cause });
  }
  await rm(old, { recursive: true, force: true });
}
