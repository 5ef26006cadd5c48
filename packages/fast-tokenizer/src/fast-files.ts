/**
 * @file The two files of a FAST tokenizer as Hugging Face lays them out (`UniversalActionProcessor`):
 * `tokenizer.json`, a byte-level BPE, and `processor_config.json`, the numbers around it.
 */
import { InsulaError } from "@insula/model-types";
import { show } from "./show.js";

/** Contents of `processor_config.json`; other keys are kept as they are. */
export interface FastProcessorConfig {
  /** Coefficients are multiplied by this before rounding. */
  scale: number;
  /** The coefficient that becomes code point 0. */
  min_token: number;
  vocab_size?: number;
  /** Steps per chunk when the file fixes them. */
  time_horizon?: number | null;
  /** Numbers per step when the file fixes them. */
  action_dim?: number | null;
  [key: string]: unknown;
}

/** A FAST tokenizer as the contents of its two files. */
export interface FastTokenizerFiles {
  /** `tokenizer.json`, parsed. */
  tokenizer: unknown;
  /** `processor_config.json`, parsed. */
  config: unknown;
}

/**
 * Check a `processor_config.json`.
 * @throws InsulaError `fast/config` naming the key.
 */
export function parseFastConfig(json: unknown, source = "processor_config.json"): FastProcessorConfig {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new InsulaError(
      "fast/config",
      `${source}: expected an object, found ${json === null ? "null" : typeof json}`,
    );
  }
  const config = json as Record<string, unknown>;
  const expect = (key: string, expected: string, ok: (value: number) => boolean): void => {
    const value = config[key];
    if (typeof value !== "number" || !ok(value)) {
      throw new InsulaError("fast/config", `${source}: ${key}: expected ${expected}, found ${show(value)}`);
    }
  };
  expect("scale", "a number above 0", (v) => v > 0 && Number.isFinite(v));
  // Beyond, numbers overflow on their way back.
  expect("scale", "a number of 1e-9…1e9", (v) => v >= 1e-9 && v <= 1e9);
  expect("min_token", "an integer", (v) => Number.isSafeInteger(v) && Math.abs(v) < 2 ** 31);
  for (const key of ["time_horizon", "action_dim"]) {
    if (config[key] != null)
      expect(key, "a positive integer or null", (v) => Number.isSafeInteger(v) && v >= 1);
  }
  return config as FastProcessorConfig;
}
