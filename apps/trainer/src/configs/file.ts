/**
 * @file A user's own configuration: a TypeScript, JavaScript or JSON file with the fields that differ from the
 * configuration that it `extends`.
 */
import { readFile } from "node:fs/promises";
import { basename, dirname, extname, resolve } from "node:path";
import { InsulaError, type ModelConfig } from "@insula/model-types";
import { createJiti } from "jiti";
import { mergeOverrides, type Overrides } from "./overrides.js";
import { getConfig } from "./registry.js";
import type { DataConfig, TrainConfig } from "./types.js";
import type { StackVariant } from "./variants.js";

/** Every field may be left out, at every depth. */
type Some<T> = T extends readonly unknown[] | null
  ? T
  : T extends object
    ? { [K in keyof T]?: Some<T[K]> | undefined }
    : T;

/**
 * What a configuration file exports: fields laid over those of `extends`.
 *
 * ```ts
 * import { type ConfigFile } from "@insula/trainer";
 * export default { extends: "pi05_droid_ki", batchSize: 8, data: { robot: "droid" } } satisfies ConfigFile;
 * ```
 */
export type ConfigFile = Some<Omit<TrainConfig, "model" | "data">> & {
  /** A named configuration, or another file (`./base.ts`) relative to this one. */
  extends: string;
  model?: Omit<Some<ModelConfig>, "vlm" | "expert"> & {
    vlm?: Some<ModelConfig["vlm"]> | StackVariant<"vlm">;
    expert?: Some<ModelConfig["expert"]> | StackVariant<"expert">;
  };
  data?: Some<DataConfig>;
};

const EXTENSIONS = [".ts", ".mts", ".js", ".mjs", ".json"];

/** Whether this names a file rather than a configuration. */
export const isConfigFile = (name: string): boolean =>
  EXTENSIONS.includes(extname(name)) || name.includes("/");

/** A configuration and who said what of it: a size may replace what was declared, never what the user's files say. */
export interface LoadedConfig {
  /** Everything together. */
  config: TrainConfig;
  /** The named configuration at the end of `extends`. */
  declared: TrainConfig;
  /** The fields of each file, the one that was asked for last; none without a file. */
  own: readonly Overrides[];
}

/**
 * The configuration of that name, or the one that the file of that name makes of the one it extends. A file that gives
 * no `name` is named after itself.
 *
 * ```ts
 * const { declared, own } = await loadConfig("./mine.ts");
 * const run = resolveConfig(declared, { size: "tiny", own });
 * ```
 * @throws InsulaError `config/unknown`, or `config/file` naming the file that cannot be read, exports no
 *   configuration or extends itself
 */
export async function loadConfig(name: string): Promise<LoadedConfig> {
  if (isConfigFile(name)) return loadFile(resolve(name), []);
  const declared = getConfig(name);
  return { config: declared, declared, own: [] };
}

async function loadFile(path: string, above: readonly string[]): Promise<LoadedConfig> {
  if (above.includes(path)) {
    throw new InsulaError("config/file", `${path}: extends itself: ${[...above, path].join(" → ")}`);
  }
  const { extends: parent, ...own } = checkFile(path, await read(path));
  const base = isConfigFile(parent)
    ? await loadFile(resolve(dirname(path), parent), [...above, path])
    : await loadNamed(path, parent);
  const name = own["name"] ?? basename(path, extname(path)).replace(/\.config$/, "");
  const fields = { ...own, name };
  return {
    config: mergeOverrides(base.config, fields) as TrainConfig,
    declared: base.declared,
    own: [...base.own, fields],
  };
}

async function loadNamed(path: string, name: string): Promise<LoadedConfig> {
  try {
    return await loadConfig(name);
  } catch (cause) {
    throw new InsulaError("config/unknown", `${path}: extends: ${(cause as Error).message}`, { cause });
  }
}

async function read(path: string): Promise<unknown> {
  try {
    if (extname(path) === ".json") return JSON.parse(await readFile(path, "utf8"));
    return await createJiti(path, { moduleCache: false, fsCache: false }).import(path, { default: true });
  } catch (cause) {
    throw new InsulaError(
      "config/file",
      `${path}: cannot read this configuration: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

function checkFile(path: string, value: unknown): Overrides & { extends: string } {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const parent = (value as Overrides)["extends"];
    if (typeof parent === "string") return value as Overrides & { extends: string };
    const found = parent === undefined ? "none" : JSON.stringify(parent);
    throw new InsulaError(
      "config/file",
      `${path}: extends: expected the configuration or file that this one changes, found ${found}`,
    );
  }
  throw new InsulaError(
    "config/file",
    `${path}: expected an object as default export, found ${JSON.stringify(value)}`,
  );
}
