/** @file A tokenizer's files of a repository on the Hugging Face hub as a folder on disk, downloaded when the cache lacks them. */
import {
  checkRevision,
  type HubOptions,
  type HubRepo,
  hubCacheDir,
  hubCommit,
  isOffline,
  type RepoCache,
  repoCache,
} from "@insula/hub-cache";
import { InsulaError } from "@insula/model-types";

/** Files of one commit on disk. */
export interface HubSnapshot {
  /** The files lie here under their own paths. */
  folder: string;
  commit: string;
  /** Those of the wanted files that the repository has. */
  found: ReadonlySet<string>;
}

/** No tokenizer's file is larger. */
const MAX_FILE_BYTES = 1 << 28;

/**
 * The wanted files of a repository, as far as it has them. A repository that was asked for once is there without a network
 * too, at the commit that it was then.
 * @throws InsulaError naming repository, revision and file: `hub/offline` (not in the cache), `hub/not-found`,
 *   `hub/denied` (private, gated, or no such repository), `hub/network`, `hub/response`, `hub/corrupt`, `hub/file-size`,
 *   `hub/revision`, `hub/token`.
 */
export async function hubSnapshot(
  source: HubRepo,
  wanted: readonly string[],
  options: HubOptions = {},
): Promise<HubSnapshot> {
  const { repo } = source;
  const revision = checkRevision(repo, source.revision ?? options.revision ?? "main");
  const cache = repoCache(options.cacheDir ?? hubCacheDir(), "model", repo);
  const label = `${repo} at ${revision}`;
  if (!isOffline(options.offline)) {
    try {
      return await fetchSnapshot(repo, revision, wanted, cache, options);
    } catch (error) {
      if (!(error instanceof InsulaError) || error.code !== "hub/network") throw error;
      const known = await cachedSnapshot(revision, wanted, cache);
      if (known && known.found.size > 0) return known;
      throw error;
    }
  }
  const known = await cachedSnapshot(revision, wanted, cache);
  if (known) return known;
  throw new InsulaError(
    "hub/offline",
    `${label}: not in ${cache.folder}, and offline (HF_HUB_OFFLINE or the option); load it once with a network, ` +
      `for ${wanted.join(", ")}`,
  );
}

async function cachedSnapshot(
  revision: string,
  wanted: readonly string[],
  cache: RepoCache,
): Promise<HubSnapshot | undefined> {
  const commit = await cache.commitOf(revision);
  if (commit === undefined) return undefined;
  const found = await presentIn(cache, commit, wanted);
  return { folder: cache.snapshot(commit), commit, found: new Set(found) };
}

async function presentIn(cache: RepoCache, commit: string, wanted: readonly string[]): Promise<string[]> {
  const present = await Promise.all(wanted.map((path) => cache.has(commit, path)));
  return wanted.filter((_, i) => present[i]);
}

async function fetchSnapshot(
  repo: string,
  revision: string,
  wanted: readonly string[],
  cache: RepoCache,
  options: HubOptions,
): Promise<HubSnapshot> {
  // A commit never changes: what is there of it needs no question.
  const known = /^[0-9a-f]{40}$/.test(revision) ? await presentIn(cache, revision, wanted) : [];
  if (known.length > 0 && known.length === wanted.length) {
    return { folder: cache.snapshot(revision), commit: revision, found: new Set(known) };
  }
  const hub = await hubCommit("model", repo, revision, options);
  const { commit } = hub;
  const found = new Set(await presentIn(cache, commit, wanted));
  const missing = wanted.filter((path) => !found.has(path));
  for (const file of missing.length > 0 ? await hub.find(missing) : []) {
    if (file.size > MAX_FILE_BYTES) {
      throw new InsulaError(
        "hub/file-size",
        `${repo} at ${revision}: ${file.path}: ${file.size} bytes; a tokenizer has at most ${MAX_FILE_BYTES}`,
      );
    }
    await hub.download(file, cache);
    found.add(file.path);
  }
  // Only now: a download that fails leaves the older commit, all of it, to offline use.
  await cache.setCommit(revision, commit);
  return { folder: cache.snapshot(commit), commit, found };
}
