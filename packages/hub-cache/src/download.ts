/**
 * @file One file from the hub into the cache: what an earlier attempt has left is kept and the rest asked for, and
 * what arrives has to have the hash that the hub announced.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { InsulaError } from "@insula/model-types";

/** A file of a repository. */
export interface RemoteFile {
  /** `owner/name at revision: path`, for messages. */
  label: string;
  size: number;
  /** Its git blob id (SHA-1), or the SHA-256 of a large file. */
  etag: string;
  /** Its bytes from `start` on. */
  open(start: number): Promise<ReadableStream<Uint8Array>>;
}

/** Connections that may break before a download gives up; what has come stays for the next call. */
const ATTEMPTS = 3;

/**
 * Download to `target`, by way of `target.incomplete`.
 * @throws InsulaError `hub/corrupt` when the content is not what the hub announced; whatever `open` throws, and
 *   `hub/network` when the connection breaks.
 * @param onBytes told of bytes as they arrive.
 */
export async function downloadBlob(
  file: RemoteFile,
  target: string,
  onBytes?: (bytes: number) => void,
): Promise<void> {
  const partial = `${target}.incomplete`;
  await mkdir(dirname(target), { recursive: true });
  let restarted = false;
  for (let attempt = 1; ; attempt++) {
    let start = await sizeOf(partial);
    if (start > file.size) start = 0;
    const broken =
      start < file.size || start === 0 ? await receive(file, start, partial, onBytes) : undefined;
    if (broken !== undefined) {
      if (attempt < ATTEMPTS) continue;
      throw new InsulaError(
        "hub/network",
        `${file.label}: the connection broke after ${await sizeOf(partial)} of ${file.size} bytes; the next call goes on from there`,
        { cause: broken },
      );
    }
    if ((await sizeOf(partial)) === file.size && (await hashOf(partial, file)) === file.etag) {
      return rename(partial, target);
    }
    await rm(partial);
    // A wrong beginning may be an old attempt's; one from the first byte on has no such excuse.
    if (start === 0 || restarted) {
      throw new InsulaError(
        "hub/corrupt",
        `${file.label}: expected ${file.size} bytes with hash ${file.etag}, received others`,
      );
    }
    restarted = true;
  }
}

/** Append what is missing; resolves to why the connection broke, if it did. */
async function receive(
  file: RemoteFile,
  start: number,
  partial: string,
  onBytes?: (bytes: number) => void,
): Promise<unknown> {
  const body = await file.open(start);
  let size = start;
  try {
    await pipeline(
      Readable.fromWeb(body),
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          size += chunk.length;
          onBytes?.(chunk.length);
          yield chunk;
          // More than there is: a server that ignores ranges, or does not end.
          if (size > file.size) return;
        }
      },
      createWriteStream(partial, { flags: start > 0 ? "a" : "w" }),
    );
  } catch (cause) {
    return cause;
  }
  return size < file.size ? new Error(`${size} of ${file.size} bytes`) : undefined;
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** As git names a blob, or as git-lfs names a file, by the length of the etag. */
async function hashOf(path: string, file: RemoteFile): Promise<string> {
  const git = file.etag.length === 40;
  const hash = createHash(git ? "sha1" : "sha256");
  if (git) hash.update(`blob ${file.size}\0`);
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
