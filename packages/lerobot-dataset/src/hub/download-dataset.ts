/**
 * @file A dataset of the Hugging Face hub as a folder on disk, in the hub's own cache: metadata first, then the
 * files that they name. What the cache holds is not asked for again.
 */
import {
  checkRevision,
  type HubCommit,
  type HubFile,
  type HubOptions,
  type HubRepo,
  hubCacheDir,
  hubCommit,
  isOffline,
  parseRepo,
  type RepoCache,
  repoCache,
} from "@insula/hub-cache";
import { InsulaError } from "@insula/model-types";
import { forEachOf } from "../for-each-of.js";
import { type DatasetRoot, datasetRoot } from "../read/root.js";
import { type Selection, wantedFiles } from "./wanted.js";

/** How far a download is. */
export interface DownloadProgress {
  /** Path in the repository of the file that has just come. */
  readonly file: string;
  readonly files: number;
  readonly totalFiles: number;
  /** Received in this call. */
  readonly bytes: number;
  readonly totalBytes: number;
}

/** Where from, what, and who is told. */
export interface DownloadOptions extends HubOptions, Selection {
  /** Told after every file. */
  onProgress?: (progress: DownloadProgress) => void;
}

/** A dataset on disk. */
export interface DownloadedDataset {
  /** To open; the files are links into the cache. */
  readonly folder: string;
  readonly commit: string;
  /** Files that the metadata name and that the repository does not have. */
  readonly missing: readonly string[];
}

/** Metadata files are small; a larger one is no metadata. */
const MAX_META_BYTES = 1 << 30;
/** Files downloaded at a time. */
const CONCURRENT_FILES = 4;

/**
 * Get a dataset, or the part of it that is wanted, from the hub. One that was there once is there without a network
 * too, at the commit that it was then. A broken download goes on where it broke, and content has to have the hash
 * that the hub announces.
 * @param source `owner/name`, `owner/name@revision`, `hf://…` of either.
 * @throws InsulaError naming repository, revision and file: `hub/offline` (not in the cache), `hub/not-found`,
 *   `hub/denied` (private, gated, or no such repository), `hub/network`, `hub/response`, `hub/corrupt`,
 *   `hub/file-size`, `hub/missing-file`, `hub/revision`, `hub/token`, `hub/repo`; `dataset/…` for its metadata.
 */
export async function downloadLeRobotDataset(
  source: string,
  options: DownloadOptions = {},
): Promise<DownloadedDataset> {
  const parsed = parseRepo(source);
  if (!parsed) {
    throw new InsulaError("hub/repo", `expected a repository 'owner/name', found ${JSON.stringify(source)}`);
  }
  return datasetOf(parsed, options);
}

async function datasetOf(parsed: HubRepo, options: DownloadOptions): Promise<DownloadedDataset> {
  const { repo } = parsed;
  const revision = checkRevision(repo, parsed.revision ?? options.revision ?? "main");
  const cache = repoCache(options.cacheDir ?? hubCacheDir(), "dataset", repo);
  const label = `${repo} at ${revision}`;
  if (!isOffline(options.offline)) {
    try {
      return await fetchDataset(label, repo, revision, cache, options);
    } catch (error) {
      if (!(error instanceof InsulaError) || error.code !== "hub/network") throw error;
      const known = await cachedDataset(revision, cache, options);
      if (known?.missing.length === 0) return known;
      throw error;
    }
  }
  const known = await cachedDataset(revision, cache, options);
  if (known?.missing.length === 0) return known;
  const what = known
    ? `${known.missing.length} of its files are not in ${cache.folder} (${known.missing[0]})`
    : `not in ${cache.folder}`;
  throw new InsulaError(
    "hub/offline",
    `${label}: ${what}, and offline (HF_HUB_OFFLINE or the option); load it once with a network`,
  );
}

/** What the cache holds of a revision; undefined without its metadata. */
async function cachedDataset(
  revision: string,
  cache: RepoCache,
  selection: Selection,
): Promise<DownloadedDataset | undefined> {
  const commit = await cache.commitOf(revision);
  if (commit === undefined || !(await cache.has(commit, "meta/info.json"))) return undefined;
  const folder = cache.snapshot(commit);
  const wanted = await wantedFiles(await datasetRoot(folder), selection);
  const present = await Promise.all(wanted.map((path) => cache.has(commit, path)));
  return { folder, commit, missing: wanted.filter((_, i) => !present[i]) };
}

async function fetchDataset(
  label: string,
  repo: string,
  revision: string,
  cache: RepoCache,
  options: DownloadOptions,
): Promise<DownloadedDataset> {
  // A commit never changes: what is there of it needs no question.
  if (/^[0-9a-f]{40}$/.test(revision)) {
    const known = await cachedDataset(revision, cache, options).catch(() => undefined);
    if (known?.missing.length === 0) return known;
  }
  const hub = await hubCommit("dataset", repo, revision, options);
  const { commit } = hub;
  const meta = await hub.list("meta");
  if (!meta.some((file) => file.path === "meta/info.json")) {
    throw new InsulaError(
      "hub/missing-file",
      `${label}: no meta/info.json in the repository; is it a LeRobot dataset?`,
    );
  }
  for (const { path, size } of meta) {
    if (size <= MAX_META_BYTES) continue;
    throw new InsulaError(
      "hub/file-size",
      `${label}: ${path}: ${size} bytes; metadata have at most ${MAX_META_BYTES}`,
    );
  }
  await download(hub, meta, cache, options);

  const folder = cache.snapshot(commit);
  const wanted = await wantedFiles(withHub(await datasetRoot(folder), hub), options);
  const absent: string[] = [];
  for (const path of wanted) if (!(await cache.has(commit, path))) absent.push(path);
  const files = await hub.find(absent);
  await download(hub, files, cache, options);
  // Only now: a download that fails leaves the older commit, all of it, to offline use.
  await cache.setCommit(revision, commit);
  const found = new Set(files.map((file) => file.path));
  return { folder, commit, missing: absent.filter((path) => !found.has(path)) };
}

/** Before they are downloaded, files are there when the hub has them. */
function withHub(root: DatasetRoot, hub: HubCommit): DatasetRoot {
  return {
    ...root,
    has: async (relative) => (await root.has(relative)) || (await hub.find([relative])).length > 0,
  };
}

async function download(
  hub: HubCommit,
  files: readonly HubFile[],
  cache: RepoCache,
  { onProgress }: DownloadOptions,
): Promise<void> {
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  let done = 0;
  let bytes = 0;
  await forEachOf(files, CONCURRENT_FILES, async (file) => {
    if (!(await cache.has(hub.commit, file.path))) {
      await hub.download(file, cache, (received) => (bytes += received));
    }
    onProgress?.({ file: file.path, files: ++done, totalFiles: files.length, bytes, totalBytes });
  });
}
