/** @file All named configurations. */
import { closestMatch, InsulaError } from "@insula/model-types";
import { ALOHA_CONFIGS } from "./aloha.js";
import { DEBUG_CONFIGS } from "./debug.js";
import { DROID_CONFIGS } from "./droid.js";
import { LIBERO_CONFIGS } from "./libero.js";
import { POLARIS_CONFIGS } from "./polaris.js";
import type { TrainConfig } from "./types.js";

/** What `insula train` alone trains. */
export const DEFAULT_CONFIG = "pi05_droid_ki";

/** Index configurations by name. @throws InsulaError `config/duplicate` when two share one. */
export function registerConfigs(configs: readonly TrainConfig[]): Map<string, TrainConfig> {
  const byName = new Map<string, TrainConfig>();
  for (const config of configs) {
    if (byName.has(config.name)) {
      throw new InsulaError("config/duplicate", `config: two configurations are named '${config.name}'`);
    }
    byName.set(config.name, config);
  }
  return byName;
}

const CONFIGS: ReadonlyMap<string, TrainConfig> = registerConfigs([
  ...DROID_CONFIGS,
  ...POLARIS_CONFIGS,
  ...LIBERO_CONFIGS,
  ...ALOHA_CONFIGS,
  ...DEBUG_CONFIGS,
]);

/** Every configuration, in the order of their files. */
export function listConfigs(): TrainConfig[] {
  return [...CONFIGS.values()];
}

/** The configuration of that name. @throws InsulaError `config/unknown` with the closest name. */
export function getConfig(name: string): TrainConfig {
  const config = CONFIGS.get(name);
  if (config) return config;
  const near = closestMatch(name, CONFIGS.keys());
  const remedy = near ? `did you mean '${near}'?` : `there are ${[...CONFIGS.keys()].join(", ")}`;
  throw new InsulaError("config/unknown", `config '${name}' not found; ${remedy}`);
}
