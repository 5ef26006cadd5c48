/**
 * @file The sample data on demand: generated once per version and options, then found in the user's cache. The
 * folder appears by one rename, complete or not at all; two processes that start together both generate, one
 * rename wins, and both use what it put there.
 */
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { access, constants, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import {
  GENERATOR_VERSION,
  generateSampleData,
  type SampleDataOptions,
  type SampleDataPaths,
  type SampleDataProgress,
  sampleDataPaths,
} from "./generate.js";
import { DEFAULT_EPISODES } from "./splits.js";

/** Unfinished folders older than this were left by a process that was killed. */
const STALE_MS = 24 * 3600 * 1000;

/** Generations under way in this process, by folder. */
const underWay = new Map<string, Promise<void>>();

/**
 * The sample data, from the cache or generated into it (some 28 MB).
 * @param cacheDir parent folder; default `$XDG_CACHE_HOME/insula/sample-data` (`~/.cache/…`), or a folder in
 *   the system's temporary directory when that is not writable.
 * @param onProgress called only while generating.
 * @throws InsulaError `sample-data/cache` when `cacheDir` is given and not writable.
 */
export async function ensureSampleData(
  cacheDir?: string,
  onProgress?: SampleDataProgress,
  options: SampleDataOptions = {},
): Promise<SampleDataPaths> {
  const name = sampleDataVersion(options);
  const cached = cacheDirCandidates(cacheDir)
    .map((parent) => join(parent, name))
    .find(isComplete);
  if (cached !== undefined) return sampleDataPaths(cached);

  const dir = join(await writableDir(cacheDir), name);
  let work = underWay.get(dir);
  if (!work) {
    work = generateBeside(dir, options, onProgress).finally(() => underWay.delete(dir));
    underWay.set(dir, work);
  }
  await work;
  return sampleDataPaths(dir);
}

/** Names the version of the generator and its options: the folder in the cache. */
export function sampleDataVersion({ seed = 0, episodes = DEFAULT_EPISODES }: SampleDataOptions = {}): string {
  return createHash("sha256")
    .update(JSON.stringify({ generator: GENERATOR_VERSION, seed, episodes }))
    .digest("hex")
    .slice(0, 16);
}

function cacheDirCandidates(cacheDir?: string): string[] {
  if (cacheDir !== undefined) return [resolve(cacheDir)];
  const xdg = process.env["XDG_CACHE_HOME"];
  const cache = xdg && isAbsolute(xdg) ? xdg : join(homedir(), ".cache"); // the specification ignores relative paths
  const user = process.getuid?.() ?? "user"; // the temporary directory is everybody's
  return [join(cache, "insula", "sample-data"), join(tmpdir(), `insula-${user}`, "sample-data")];
}

/** The first candidate that can be written to, created. */
async function writableDir(cacheDir?: string): Promise<string> {
  let cause: unknown;
  const candidates = cacheDirCandidates(cacheDir);
  for (const candidate of candidates) {
    try {
      await mkdir(candidate, { recursive: true });
      await access(candidate, constants.W_OK);
      return candidate;
    } catch (error) {
      cause = error;
    }
  }
  throw new InsulaError(
    "sample-data/cache",
    `${candidates.join(", ")}: cannot write the sample data there; name a writable folder with cacheDir`,
    { cause },
  );
}

function isComplete(dir: string): boolean {
  const { datasetDir, textTokenizerPath, fastTokenizerDir } = sampleDataPaths(dir);
  return [join(datasetDir, "meta", "info.json"), textTokenizerPath, fastTokenizerDir].every((path) =>
    existsSync(path),
  );
}

async function generateBeside(
  dir: string,
  options: SampleDataOptions,
  onProgress?: SampleDataProgress,
): Promise<void> {
  const unique = randomUUID().slice(0, 8);
  const beside = `${dir}.partial-${unique}`;
  await removeStale(dir);
  if (existsSync(dir)) await rename(dir, beside); // complete when it appeared: somebody has deleted half of it since
  await rm(beside, { recursive: true, force: true });
  try {
    await generateSampleData(beside, options, onProgress);
    await rename(beside, dir).catch((error: unknown) => {
      if (!isComplete(dir)) throw error; // else another process was faster, and its data are the same
    });
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

/** Remove what killed processes left. */
async function removeStale(dir: string): Promise<void> {
  for (const entry of await readdir(dirname(dir))) {
    if (!entry.startsWith(`${basename(dir)}.partial-`)) continue;
    const path = join(dirname(dir), entry);
    const info = await stat(path).catch(() => undefined); // gone meanwhile
    if (info && Date.now() - info.mtimeMs > STALE_MS) await rm(path, { recursive: true, force: true });
  }
}
