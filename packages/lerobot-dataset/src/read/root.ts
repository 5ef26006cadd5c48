/**
 * @file The folder of a dataset and what may be opened in it. Names come from the dataset, and so do symbolic
 * links: both are followed only as far as the folder goes, or, in the Hugging Face cache, its `blobs` folder.
 */
import { access, readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { env } from "node:process";
import { InsulaError } from "@insula/model-types";
import { insideRoot } from "../paths.js";

/** A dataset's folder. */
export interface DatasetRoot {
  /** Its absolute path, as it was given. */
  readonly path: string;
  /**
   * The path of a file in it, to open. The file need not exist.
   * @throws InsulaError `dataset/path-escapes` when it lies elsewhere, by name or through a link,
   *   `dataset/not-a-file` for a folder, pipe or device.
   */
  file(relative: string): Promise<string>;
  /** Whether there is such a file. */
  has(relative: string): Promise<boolean>;
  /** The text of a file of at most `maxBytes`. @throws InsulaError `dataset/missing-file`, `dataset/file-size`. */
  text(relative: string, maxBytes?: number): Promise<string>;
}

/** Metadata files: DROID's 95 000 episodes make 20 MB. */
const MAX_TEXT_BYTES = 1 << 28;

/** The folder `dir`. With `followLinks`, or `INSULA_FOLLOW_LINKS=1` in the environment, links may lead anywhere. */
export async function datasetRoot(
  dir: string,
  { followLinks = false }: { followLinks?: boolean } = {},
): Promise<DatasetRoot> {
  const follow = followLinks || env["INSULA_FOLLOW_LINKS"] === "1";
  const path = resolve(dir);
  const real = await realpath(path).catch(() => path);
  const allowed = [real, ...(await blobsOf(real))];
  const checked = new Map<string, Promise<string>>();

  const check = async (relative: string): Promise<string> => {
    const named = insideRoot(path, relative);
    const target = await realpath(named).catch(() => undefined);
    if (target === undefined) return named; // Not there: whoever opens it says so.
    if (!follow && !allowed.some((folder) => target.startsWith(folder + sep))) {
      throw new InsulaError(
        "dataset/path-escapes",
        `${named}: is a link to ${target}, outside the dataset; copy the file in, or open the dataset with followLinks: true (or INSULA_FOLLOW_LINKS=1) if you trust it`,
      );
    }
    if (!(await stat(target)).isFile()) {
      throw new InsulaError(
        "dataset/not-a-file",
        `${named}: expected a file, found a folder, pipe or device`,
      );
    }
    return named;
  };
  const file = (relative: string): Promise<string> => {
    const known = checked.get(relative);
    if (known) return known;
    const found = check(relative);
    checked.set(relative, found);
    found.catch(() => checked.delete(relative));
    return found;
  };
  return {
    path,
    file,
    has: async (relative) =>
      access(await file(relative)).then(
        () => true,
        () => false,
      ),
    async text(relative, maxBytes = MAX_TEXT_BYTES) {
      const named = await file(relative);
      const missing = (cause: unknown): never => {
        throw new InsulaError("dataset/missing-file", `${named}: not found`, { cause });
      };
      const { size } = await stat(named).catch(missing);
      if (size > maxBytes) {
        throw new InsulaError("dataset/file-size", `${named}: ${size} bytes; expected at most ${maxBytes}`);
      }
      return readFile(named, "utf8").catch(missing);
    },
  };
}

/** In the hub's cache a dataset is `…/datasets--OWNER--NAME/snapshots/COMMIT`, of links to `…/blobs/HASH`. */
async function blobsOf(real: string): Promise<string[]> {
  const repo = dirname(dirname(real));
  const cached = basename(dirname(real)) === "snapshots" && /^datasets--/.test(basename(repo));
  if (!cached) return [];
  return [await realpath(join(repo, "blobs")).catch(() => join(repo, "blobs"))];
}
