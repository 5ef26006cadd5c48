/**
 * @file Optimised graphs kept on disk: ONNX Runtime's graph passes run once per model, and later sessions load what
 * they made. A file is named by the digest of everything that the passes depend on.
 */
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { onnxRuntimeVersion } from "./capi/library.js";
import { parseDevice } from "./device.js";
import type { Session, SessionOptions } from "./session.js";

/** Files kept; the ones that were not used for longest go first. */
const KEPT = 64;

type Create = (model: Uint8Array | string, options: SessionOptions) => Promise<Session>;

/**
 * Create a session from the optimised form of `model` in `cacheDir`, which is made when it is not there. A file that
 * ONNX Runtime refuses is made again. A folder that cannot be written is no error: the session is made without.
 */
export async function createCached(
  create: Create,
  model: Uint8Array | string,
  { cacheDir, ...options }: SessionOptions & { cacheDir: string },
): Promise<Session> {
  // What CUDA's provider adds to a graph cannot be loaded again.
  if (parseDevice(options.device ?? "cpu").type !== "cpu" || options.optimizedModelPath)
    return create(model, options);
  const bytes = typeof model === "string" ? await readFile(model) : model;
  const path = join(cacheDir, `${digest(bytes, options)}.onnx`);
  if (existsSync(path)) {
    try {
      const session = await create(path, { ...options, optimizationLevel: "none" });
      const now = new Date();
      await utimes(path, now, now).catch(() => {});
      return session;
    } catch {
      await rm(path, { force: true });
    }
  }
  try {
    await mkdir(cacheDir, { recursive: true });
  } catch {
    return create(model, options);
  }
  const beside = join(cacheDir, `${randomUUID()}.partial`);
  try {
    await (await create(model, { ...options, optimizedModelPath: beside })).release();
    const file = await rename(beside, path).then(
      () => path,
      () => beside,
    );
    await prune(cacheDir);
    // Read back even now: nodes run in the order of the file, and so take the memory that they will take every time.
    return await create(file, { ...options, optimizationLevel: "none" });
  } catch (error) {
    // It may be the file that could not be written.
    try {
      return await create(model, options);
    } catch {
      throw error;
    }
  } finally {
    await rm(beside, { force: true });
  }
}

/** The passes depend on the model, their version and level, and with layouts on the processor. */
function digest(bytes: Uint8Array, { optimizationLevel, disabledOptimizers }: SessionOptions): string {
  const about = [onnxRuntimeVersion(), process.arch, cpus()[0]?.model, optimizationLevel, disabledOptimizers];
  return createHash("sha256").update(JSON.stringify(about)).update(bytes).digest("hex");
}

async function prune(dir: string): Promise<void> {
  const names = (await readdir(dir)).filter((name) => name.endsWith(".onnx"));
  if (names.length <= KEPT) return;
  const files = await Promise.all(
    names.map(async (name) => {
      const path = join(dir, name);
      return { path, used: (await stat(path).catch(() => undefined))?.mtimeMs ?? 0 };
    }),
  );
  files.sort((a, b) => b.used - a.used);
  for (const { path } of files.slice(KEPT)) await rm(path, { force: true });
}
