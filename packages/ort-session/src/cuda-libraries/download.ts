/**
 * @file A file from the network to disk: what an earlier try has left is continued, the digest is checked before
 * the file gets its name.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { InsulaError } from "@insula/model-types";
import { type IndexedFile, request } from "./simple-index.js";

export interface DownloadOptions {
  /** Called as bytes arrive, those of an earlier try counted in. */
  onProgress?: (received: number, total: number | undefined) => void;
  signal?: AbortSignal;
}

/** Tries after a connection that broke off. */
const ATTEMPTS = 5;

/**
 * Download `file` to `path`; bytes gather in `<path>.part`.
 * @throws InsulaError `cuda/offline` when the connection keeps breaking (the next call continues), `cuda/corrupt`
 *   when the digest is another one (what was received is deleted).
 */
export async function download(
  file: IndexedFile,
  path: string,
  options: DownloadOptions = {},
): Promise<void> {
  const part = `${path}.part`;
  for (let attempt = 1; ; attempt++) {
    const before = await sizeOf(part);
    try {
      if (file.size === undefined || before < file.size) await receive(file, part, options);
      break;
    } catch (error) {
      // Without progress, or asked to stop: give up. A connection that broke off later is taken up again.
      if (options.signal?.aborted || attempt === ATTEMPTS || (await sizeOf(part)) <= before) throw error;
    }
  }
  const found = await sha256Of(part);
  if (found !== file.sha256) {
    await rm(part, { force: true });
    throw new InsulaError(
      "cuda/corrupt",
      `${file.filename}: expected sha256 ${file.sha256}, found ${found}; what was received is deleted, run it again`,
    );
  }
  await rename(part, path);
}

async function receive(
  { url, filename, size, headers }: IndexedFile,
  part: string,
  { onProgress, signal }: DownloadOptions,
): Promise<void> {
  let received = await sizeOf(part);
  const range: Record<string, string> = received > 0 ? { range: `bytes=${received}-` } : {};
  const response = await request(url, { ...headers, ...range, "accept-encoding": "identity" }, signal);
  const continued = response.status === 206;
  // A server that does not know ranges sends everything again.
  if (!continued) received = 0;
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  const total = size ?? (Number.isNaN(length) ? undefined : received + length);
  const handle = await open(part, continued ? "a" : "w");
  try {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      await handle.writeFile(chunk);
      received += chunk.length;
      if (total !== undefined && received > total) break; // the digest will say so
      onProgress?.(received, total);
    }
    await handle.sync();
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new InsulaError(
      "cuda/offline",
      `${filename}: the connection broke off after ${received} of ${total ?? "?"} bytes; run it again to continue`,
      { cause },
    );
  } finally {
    await handle.close();
  }
  if (total !== undefined && received < total) {
    throw new InsulaError(
      "cuda/offline",
      `${filename}: the connection ended after ${received} of ${total} bytes; run it again to continue`,
    );
  }
}

/** SHA-256 of a file, as hexadecimal digits. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
