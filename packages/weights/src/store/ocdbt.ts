/**
 * @file OCDBT databases (tensorstore, `kvstore/ocdbt`, "Storage format"), the container of orbax checkpoints: a
 * manifest that names the newest version's B+tree, whose leaves hold values or say where they lie. Only keys
 * and places are read here.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ByteRange, readRange } from "./byte-range.js";
import { type KeyValueStore, MAX_KEYS } from "./key-value.js";
import {
  broken,
  type Cursor,
  count,
  MANIFEST_MAGIC,
  MAX_NODE,
  NODE_MAGIC,
  openEnvelope,
  prefixed,
  take,
  u8,
  varint,
  varints,
} from "./ocdbt-codec.js";

interface DataFile {
  /** Relative to the database's folder. */
  path: string;
  /** What the paths of a child that lies in this file begin with. */
  base: string;
}

interface NodeAt {
  file: DataFile;
  offset: number;
  length: number;
  height: number;
  /** What all keys below begin with. */
  prefix: Uint8Array;
}

/** Every key of the newest version of the database in `root`. */
export async function readOcdbt(root: string): Promise<KeyValueStore> {
  const path = join(root, "manifest.ocdbt");
  const { size } = await stat(path);
  if (size > MAX_NODE) throw broken(path, `${size} bytes are too many for a manifest`);
  const node = newestRoot(await openEnvelope(await readFile(path), MANIFEST_MAGIC, path));
  const store = new Map<string, ByteRange>();
  if (node) await walk(root, node, store);
  return store;
}

/** The root of the newest version: the last of the manifest's inline ones. */
function newestRoot(cursor: Cursor): NodeAt | undefined {
  take(cursor, 16); // uuid
  const kind = varint(cursor);
  if (kind !== 0) throw broken(cursor.what, "numbered manifests are not read, only single ones");
  varints(cursor, 2); // max_inline_value_bytes, max_decoded_node_bytes
  u8(cursor); // version_tree_arity_log2
  if (varint(cursor) === 1) take(cursor, 4); // zstd level
  const files = dataFiles(cursor, "");
  const n = count(cursor);
  if (n === 0) return undefined;
  varints(cursor, n); // generation numbers
  const heights = take(cursor, n);
  const [ids, offsets, lengths] = [varints(cursor, n), varints(cursor, n), varints(cursor, n)];
  const keys = varints(cursor, n);
  const last = n - 1;
  if (keys[last] === 0) return undefined;
  return {
    file: fileAt(cursor, files, ids[last]!),
    offset: offsets[last]!,
    length: lengths[last]!,
    height: heights[last]!,
    prefix: new Uint8Array(0),
  };
}

function dataFiles(cursor: Cursor, base: string): DataFile[] {
  const n = count(cursor);
  const [prefixes, suffixes, bases] = [
    varints(cursor, Math.max(0, n - 1)),
    varints(cursor, n),
    varints(cursor, n),
  ];
  return prefixed(cursor, prefixes, suffixes).map((bytes, i) => {
    const path = `${base}${text(bytes)}`;
    // Databases are copied from elsewhere: what they name must lie inside their own folder.
    if (
      path.includes("\\") ||
      path.includes("\0") ||
      path.split("/").some((part) => part === "" || part === ".." || part === ".")
    )
      throw broken(cursor.what, `names the file '${path}', outside the database`);
    if (bases[i]! > bytes.length) throw broken(cursor.what, `base path longer than '${path}'`);
    return { path, base: `${base}${text(bytes.subarray(0, bases[i]))}` };
  });
}

function fileAt(cursor: Cursor, files: readonly DataFile[], id: number): DataFile {
  const file = files[id];
  if (!file) throw broken(cursor.what, `data file ${id} of ${files.length}`);
  return file;
}

async function walk(root: string, node: NodeAt, store: Map<string, ByteRange>): Promise<void> {
  const path = join(root, node.file.path);
  const what = `${path} at ${node.offset}`;
  const bytes = await readRange({ path, offset: node.offset, length: node.length }, MAX_NODE, what);
  const cursor = await openEnvelope(bytes, NODE_MAGIC, what);
  const height = u8(cursor);
  if (height !== node.height) throw broken(what, `height ${height}, its parent says ${node.height}`);
  const files = dataFiles(cursor, node.file.base);
  const n = count(cursor);
  const prefixes = varints(cursor, Math.max(0, n - 1));
  const suffixes = varints(cursor, n);
  if (height === 0) {
    readLeaf(root, cursor, { files, keys: prefixed(cursor, prefixes, suffixes), prefix: node.prefix }, store);
    return;
  }
  const common = varints(cursor, n);
  const keys = prefixed(cursor, prefixes, suffixes);
  const [ids, offsets, lengths] = [varints(cursor, n), varints(cursor, n), varints(cursor, n)];
  for (const [i, key] of keys.entries()) {
    if (common[i]! > key.length) throw broken(what, `entry ${i}: common prefix longer than its key`);
    await walk(
      root,
      {
        file: fileAt(cursor, files, ids[i]!),
        offset: offsets[i]!,
        length: lengths[i]!,
        height: height - 1,
        prefix: concat(node.prefix, key.subarray(0, common[i])),
      },
      store,
    );
  }
}

function readLeaf(
  root: string,
  cursor: Cursor,
  { files, keys, prefix }: { files: DataFile[]; keys: Uint8Array[]; prefix: Uint8Array },
  store: Map<string, ByteRange>,
): void {
  const lengths = varints(cursor, keys.length);
  const kinds = varints(cursor, keys.length);
  const outside = kinds.filter((kind) => kind === 1).length;
  const [ids, offsets] = [varints(cursor, outside), varints(cursor, outside)];
  let next = 0;
  for (const [i, suffix] of keys.entries()) {
    const key = text(concat(prefix, suffix));
    const length = lengths[i]!;
    if (kinds[i] === 0) store.set(key, { bytes: take(cursor, length) });
    else if (kinds[i] === 1) {
      const { path } = fileAt(cursor, files, ids[next]!);
      store.set(key, { path: join(root, path), offset: offsets[next++]!, length });
    } else throw broken(cursor.what, `${key}: value of kind ${kinds[i]}`);
    if (store.size > MAX_KEYS) throw broken(cursor.what, `more than ${MAX_KEYS} keys`);
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
