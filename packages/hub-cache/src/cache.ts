/**
 * @file Hugging Face's cache on disk, as `huggingface_hub` lays it out, so that what Python has downloaded is found here
 * and the other way round: `models--OWNER--NAME/` or `datasets--OWNER--NAME/` with `refs/REVISION` (a commit), `blobs/ETAG` and
 * `snapshots/COMMIT/PATH`, links to the blobs.
 */
import { copyFile, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { env } from "node:process";
import { InsulaError } from "@insula/model-types";

/** What a repository holds. */
export type RepoType = "model" | "dataset";

/** A repository on the hub. */
export interface HubRepo {
  /** `owner/name`. */
  repo: string;
  /** Branch, tag or commit. */
  revision?: string;
}

const REPO = /^(?:hf:\/\/)?([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@([^@]+))?$/;
const COMMIT = /^[0-9a-f]{40}$/;

/** `owner/name`, `owner/name@revision`, `hf://…` of either; undefined for anything else. */
export function parseRepo(source: string): HubRepo | undefined {
  const [, repo, revision] = REPO.exec(source) ?? [];
  return repo === undefined ? undefined : { repo, revision };
}

/**
 * @throws InsulaError `hub/revision` unless it names a branch, tag or commit (and no file outside the cache).
 */
export function checkRevision(repo: string, revision: string): string {
  if (/^[\w][\w.+-]*(?:\/[\w][\w.+-]*)*$/.test(revision)) return revision;
  throw new InsulaError(
    "hub/revision",
    `${repo}: revision: expected a branch, tag or commit, found ${JSON.stringify(revision)}`,
  );
}

/** Where the cache is: `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`. */
export function hubCacheDir(): string {
  return env["HF_HUB_CACHE"] ?? env["HUGGINGFACE_HUB_CACHE"] ?? join(hubHome(), "hub");
}

/** `HF_HOME`, else `~/.cache/huggingface`. */
export function hubHome(): string {
  return env["HF_HOME"] ?? join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "huggingface");
}

/** Whether nobody is to be asked: the option, else `HF_HUB_OFFLINE`. */
export function isOffline(option?: boolean): boolean {
  return option ?? /^(1|on|yes|true)$/i.test(env["HF_HUB_OFFLINE"] ?? "");
}

/** One repository's part of the cache. */
export interface RepoCache {
  readonly folder: string;
  /** The commit that a revision was when it was last seen; undefined when it never was. */
  commitOf(revision: string): Promise<string | undefined>;
  /** Remember what a revision is now. */
  setCommit(revision: string, commit: string): Promise<void>;
  /** The folder of a commit's files. */
  snapshot(commit: string): string;
  /** Whether a snapshot holds a file. */
  has(commit: string, path: string): Promise<boolean>;
  /** Where the content with that hash lies, or will. */
  blob(etag: string): string;
  /** Whether that content is there. */
  hasBlob(etag: string): Promise<boolean>;
  /** Give a blob its place in a snapshot. */
  link(etag: string, commit: string, path: string): Promise<void>;
}

/** The part of `cacheDir` that belongs to a repository; makes no folder. */
export function repoCache(cacheDir: string, type: RepoType, repo: string): RepoCache {
  const folder = join(cacheDir, `${type}s--${repo.replace("/", "--")}`);
  const snapshot = (commit: string): string => join(folder, "snapshots", commit);
  const blob = (etag: string): string => join(folder, "blobs", etag);
  return {
    folder,
    snapshot,
    blob,
    hasBlob: (etag) => isFile(blob(etag)),
    async commitOf(revision): Promise<string | undefined> {
      if (COMMIT.test(revision)) return revision;
      const text = await readFile(join(folder, "refs", revision), "utf8").catch(() => "");
      return COMMIT.test(text.trim()) ? text.trim() : undefined;
    },
    async setCommit(revision, commit): Promise<void> {
      if (revision === commit) return;
      const path = join(folder, "refs", revision);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, commit);
    },
    has: (commit, path) => isFile(join(snapshot(commit), path)),
    async link(etag, commit, path): Promise<void> {
      const place = inside(snapshot(commit), path);
      await mkdir(dirname(place), { recursive: true });
      await rm(place, { force: true });
      // Where links are not allowed (Windows), a copy, as Python does.
      await symlink(relative(dirname(place), blob(etag)), place).catch(() => copyFile(blob(etag), place));
    },
  };
}

/** A path in a snapshot: names come from the hub. */
function inside(folder: string, path: string): string {
  const place = join(folder, path);
  if (place.startsWith(folder + sep)) return place;
  throw new InsulaError(
    "hub/response",
    `${folder}: the repository names '${path}', which lies outside of it`,
  );
}

/** Whether there is such a file, through links. */
export async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
