/**
 * @file The Hugging Face hub, asked for one commit of one repository: which files it has, and their bytes.
 * The client library is imported only when there is something to ask.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { env } from "node:process";
import { setTimeout } from "node:timers/promises";
import { InsulaError } from "@insula/model-types";
import { hubHome, type RepoCache, type RepoType } from "./cache.js";
import { downloadBlob } from "./download.js";

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

/** A file that the hub has. */
export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** Its git blob id (SHA-1), or the SHA-256 of a large file. */
  readonly etag: string;
}

/** A commit of a repository on the hub. */
export interface HubCommit {
  readonly commit: string;
  /** All files below a folder. */
  list(folder: string): Promise<HubFile[]>;
  /** Those of `paths` that are there. */
  find(paths: readonly string[]): Promise<HubFile[]>;
  /** Put a file into the cache, verified. */
  download(file: HubFile, cache: RepoCache, onBytes?: (bytes: number) => void): Promise<void>;
}

/** Paths that one question may name. */
const PATHS_PER_REQUEST = 500;

/** Connections that may close without an answer before a question is given up: a kept one may be at its end. */
const ATTEMPTS = 3;

/** Before another attempt; twice as long before the one after. */
const PAUSE_MS = 100;

/** Ask what commit `revision` is. @throws InsulaError `hub/…` naming repository and revision. */
export async function hubCommit(
  type: RepoType,
  repo: string,
  revision: string,
  options: HubOptions,
): Promise<HubCommit> {
  const hub = await import("@huggingface/hub");
  const label = `${repo} at ${revision}`;
  const token = options.token ?? env["HF_TOKEN"] ?? (await storedToken());
  if (token !== undefined && !/^hf_\w+$/.test(token)) {
    throw new InsulaError("hub/token", `${label}: the access token is none: expected hf_…`);
  }
  const hubUrl = (options.endpoint ?? env["HF_ENDPOINT"] ?? "https://huggingface.co").replace(/\/+$/, "");
  const common = { hubUrl, ...(token === undefined ? {} : { accessToken: token }) };
  const ask = async <T>(what: string, run: () => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await run();
      } catch (cause) {
        const error = cause instanceof InsulaError ? cause : explain(what, hubUrl, cause);
        if (error.code !== "hub/network" || attempt === ATTEMPTS) throw error;
        await setTimeout(PAUSE_MS * attempt);
      }
    }
  };
  const about = { ...common, name: repo, revision, additionalFields: ["sha" as const] };
  const info = await ask<{ sha?: string }>(label, () =>
    type === "model" ? hub.modelInfo(about) : hub.datasetInfo(about),
  );
  const commit = String(info.sha);
  if (!/^[0-9a-f]{40}$/.test(commit)) {
    throw new InsulaError("hub/response", `${label}: ${hubUrl} names no commit`);
  }
  const at = { ...common, repo: { type, name: repo }, revision: commit };
  type Entry = {
    path: string;
    type: string;
    size: number;
    oid?: string;
    lfs?: { oid: string; size: number };
  };
  const fileOf = ({ path, size, oid, lfs }: Entry): HubFile => {
    const etag = lfs?.oid ?? oid ?? "";
    const bytes = lfs?.size ?? size;
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag) || !Number.isSafeInteger(bytes) || bytes < 0) {
      throw new InsulaError("hub/response", `${label}: ${path}: ${hubUrl} names no hash or size of it`);
    }
    return { path, size: bytes, etag };
  };
  return {
    commit,
    list: (folder) =>
      ask(`${label}: ${folder}`, async () => {
        const files: HubFile[] = [];
        for await (const entry of hub.listFiles({ ...at, path: folder, recursive: true })) {
          if (entry.type === "file") files.push(fileOf(entry));
        }
        return files;
      }),
    async find(paths) {
      const files: HubFile[] = [];
      for (let i = 0; i < paths.length; i += PATHS_PER_REQUEST) {
        const asked = new Set(paths.slice(i, i + PATHS_PER_REQUEST));
        const entries = await ask(label, () => hub.pathsInfo({ ...at, paths: [...asked] }));
        for (const entry of entries) {
          if (entry.type === "file" && asked.has(entry.path)) files.push(fileOf(entry));
        }
      }
      return files;
    },
    async download({ path, size, etag }, cache, onBytes) {
      const file = `${label}: ${path}`;
      if (!(await cache.hasBlob(etag))) {
        const open = (start: number): Promise<ReadableStream<Uint8Array>> =>
          ask(file, async () => {
            const blob = await hub.downloadFile({ ...at, path, xet: false });
            if (!blob) throw new InsulaError("hub/not-found", `${file}: no such file on ${hubUrl}`);
            return blob.slice(start, size).stream() as ReadableStream<Uint8Array>;
          });
        await downloadBlob({ label: file, size, etag, open }, cache.blob(etag), onBytes);
      }
      await cache.link(etag, commit, path);
    },
  };
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
