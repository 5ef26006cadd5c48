/**
 * @file Files of a repository on the Hugging Face hub as a folder on disk, downloaded when the cache lacks them. The
 * client library is imported only when there is something to ask the hub.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { env } from "node:process";
import { InsulaError } from "@insula/model-types";
import { checkRevision, type HubRepo, hubCacheDir, hubHome, type RepoCache, repoCache } from "./hub-cache.js";
import { downloadBlob } from "./hub-download.js";

/** Where to get a repository from. The defaults are those of `huggingface_hub`, environment variables included. */
export interface HubOptions {
  /** Branch, tag or commit; `owner/name@revision` says it too. Default `main`. */
  revision?: string;
  /** Default: `HF_HUB_CACHE`, `HF_HOME/hub`, or `~/.cache/huggingface/hub`. */
  cacheDir?: string;
  /** Take what the cache holds and ask nobody. Default: whether `HF_HUB_OFFLINE` is set. */
  offline?: boolean;
  /** The hub's address. Default: `HF_ENDPOINT`, or `https://huggingface.co`. */
  endpoint?: string;
  /** For private and gated repositories. Default: `HF_TOKEN`, or what `hf auth login` has stored. */
  token?: string;
}

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
  const cache = repoCache(options.cacheDir ?? hubCacheDir(), repo);
  const label = `${repo} at ${revision}`;
  const offline = options.offline ?? /^(1|on|yes|true)$/i.test(env["HF_HUB_OFFLINE"] ?? "");
  if (!offline) {
    try {
      return await fetchSnapshot(label, repo, revision, wanted, cache, options);
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
  label: string,
  repo: string,
  revision: string,
  wanted: readonly string[],
  cache: RepoCache,
  options: HubOptions,
): Promise<HubSnapshot> {
  const { downloadFile, modelInfo, pathsInfo } = await import("@huggingface/hub");
  const token = options.token ?? env["HF_TOKEN"] ?? (await storedToken());
  if (token !== undefined && !/^hf_\w+$/.test(token)) {
    throw new InsulaError("hub/token", `${label}: the access token is none: expected hf_…`);
  }
  const hubUrl = (options.endpoint ?? env["HF_ENDPOINT"] ?? "https://huggingface.co").replace(/\/+$/, "");
  const common = { hubUrl, ...(token === undefined ? {} : { accessToken: token }) };
  const ask = <T>(what: string, run: () => Promise<T>): Promise<T> =>
    run().catch((cause: unknown) => {
      throw cause instanceof InsulaError ? cause : explain(what, hubUrl, cause);
    });

  // A commit never changes: what is there of it needs no question.
  const known = /^[0-9a-f]{40}$/.test(revision) ? await presentIn(cache, revision, wanted) : [];
  if (known.length > 0 && known.length === wanted.length) {
    return { folder: cache.snapshot(revision), commit: revision, found: new Set(known) };
  }
  const info = await ask(label, () =>
    modelInfo({ ...common, name: repo, revision, additionalFields: ["sha"] }),
  );
  const commit = String(info.sha);
  if (!/^[0-9a-f]{40}$/.test(commit)) {
    throw new InsulaError("hub/response", `${label}: ${hubUrl} names no commit`);
  }
  const found = new Set(await presentIn(cache, commit, wanted));
  const missing = wanted.filter((path) => !found.has(path));
  if (missing.length > 0) {
    const files = await ask(`${label}: ${missing.join(", ")}`, () =>
      pathsInfo({ ...common, repo, revision: commit, paths: missing }),
    );
    for (const { path, size, oid, lfs, type } of files) {
      if (type !== "file" || !missing.includes(path)) continue;
      const file = `${label}: ${path}`;
      const etag = lfs?.oid ?? oid ?? "";
      if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) {
        throw new InsulaError("hub/response", `${file}: ${hubUrl} names no hash of it`);
      }
      const bytes = lfs?.size ?? size;
      if (!(bytes <= MAX_FILE_BYTES)) {
        throw new InsulaError(
          "hub/file-size",
          `${file}: ${bytes} bytes; a tokenizer has at most ${MAX_FILE_BYTES}`,
        );
      }
      if (!(await cache.hasBlob(etag))) {
        const open = (start: number): Promise<ReadableStream<Uint8Array>> =>
          ask(file, async () => {
            const blob = await downloadFile({ ...common, repo, path, revision: commit, xet: false });
            if (!blob) throw new InsulaError("hub/not-found", `${file}: no such file on ${hubUrl}`);
            return blob.slice(start, bytes).stream() as ReadableStream<Uint8Array>;
          });
        await downloadBlob({ label: file, size: bytes, etag, open }, cache.blob(etag));
      }
      await cache.link(etag, commit, path);
      found.add(path);
    }
  }
  // Only now: a download that fails leaves the older commit, all of it, to offline use.
  await cache.setCommit(revision, commit);
  return { folder: cache.snapshot(commit), commit, found };
}

/** What `hf auth login` has left. */
async function storedToken(): Promise<string | undefined> {
  const path = env["HF_TOKEN_PATH"] ?? join(hubHome(), "token");
  const text = await readFile(path, "utf8").catch(() => "");
  return text.trim() || undefined;
}

/** The hub's answers in our words. */
function explain(what: string, hubUrl: string, cause: unknown): InsulaError {
  const status = (cause as { statusCode?: unknown }).statusCode;
  if (status === 404) {
    return new InsulaError("hub/not-found", `${what}: no such repository, revision or file on ${hubUrl}`, {
      cause,
    });
  }
  if (status === 401 || status === 403) {
    return new InsulaError(
      "hub/denied",
      `${what}: ${hubUrl} denies access (${status}): it does not exist, or it is private or gated: accept its terms there and set HF_TOKEN`,
      { cause },
    );
  }
  if (status !== undefined) {
    return new InsulaError("hub/response", `${what}: ${hubUrl} answers ${status}`, { cause });
  }
  const why = cause instanceof Error ? ((cause.cause as Error | undefined)?.message ?? cause.message) : cause;
  return new InsulaError("hub/network", `${what}: cannot reach ${hubUrl} (${why})`, { cause });
}
