/**
 * @file `checksums.json`: length and SHA-256 of every other file of a checkpoint. Lengths are compared whenever a
 * checkpoint is read, which costs nothing and finds what a full disk or a broken copy leaves; digests on resume.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";

export const CHECKSUMS_FILE = "checksums.json";

/** Length and SHA-256, hexadecimal, of a file. */
export interface Checksum {
  bytes: number;
  sha256: string;
}

/** By path inside the checkpoint, with forward slashes. */
export type Checksums = Record<string, Checksum>;

/** The text of the file. */
export function checksumsText(files: Checksums): string {
  const sorted = Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ algorithm: "sha256", files: sorted }, null, 2)}\n`;
}

/** The checksum of a file's content. */
export function checksumOf(content: Uint8Array | string): Checksum {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/**
 * Read the checksums of checkpoint `dir`; undefined when it has none, as those of 0.1.0 and earlier.
 * @throws InsulaError `checkpoint/damaged` when they are not readable.
 */
export async function readChecksums(dir: string): Promise<Checksums | undefined> {
  const path = join(dir, CHECKSUMS_FILE);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    const { files } = JSON.parse(text) as { files: Checksums };
    if (typeof files === "object" && files !== null) return files;
  } catch {
    // told below
  }
  throw damaged(path, "an object with files, their bytes and sha256", "something else");
}

/**
 * Compare the lengths of the files whose path begins with `prefix`.
 * @throws InsulaError `checkpoint/damaged` naming the first file that differs or is not there.
 */
export async function checkLengths(dir: string, prefix = ""): Promise<void> {
  for (const [path, { bytes }] of Object.entries((await readChecksums(dir)) ?? {})) {
    if (!path.startsWith(prefix)) continue;
    const found = await lengthOf(join(dir, path));
    if (found !== bytes) {
      throw damaged(join(dir, path), `${bytes} bytes`, found === undefined ? "no file" : `${found} bytes`);
    }
  }
}

/** Compare every file of `dir`, content included. @throws as {@link checkLengths}. */
export async function checkDigests(dir: string): Promise<void> {
  await checkLengths(dir);
  for (const [path, { sha256 }] of Object.entries((await readChecksums(dir)) ?? {})) {
    const hash = createHash("sha256");
    for await (const part of createReadStream(join(dir, path), { highWaterMark: 1 << 22 }))
      hash.update(part as Uint8Array);
    const found = hash.digest("hex");
    if (found !== sha256) throw damaged(join(dir, path), `sha256 ${sha256}`, found);
  }
}

const lengthOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  );

const damaged = (path: string, expected: string, found: string): InsulaError =>
  new InsulaError("checkpoint/damaged", `${path}: expected ${expected}, found ${found}`);
