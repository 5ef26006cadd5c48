/** @file `--set path.to.field=value`: any field of a configuration, by path. */
import { InsulaError } from "@insula/model-types";
import { withVariants } from "./variants.js";

/** A nested record of values to lay over a configuration. */
export interface Overrides {
  [key: string]: unknown;
}

/**
 * Parse `path.to.field=value` strings. A value that is JSON (number, true, null, [..], {..}) is that value;
 * anything else is a string. Later ones win.
 * @throws InsulaError `config/override` for a string without a path and `=`, `config/field` for a variant that is none.
 */
export function parseOverrides(settings: readonly string[]): Overrides {
  const out: Overrides = {};
  for (const setting of settings) {
    const at = setting.indexOf("=");
    const path = setting.slice(0, Math.max(at, 0)).split(".");
    if (at < 1 || path.some((key) => key === "" || key === "__proto__")) {
      throw new InsulaError(
        "config/override",
        `--set ${setting}: expected path.to.field=value, for example --set optimizer.b2=0.99`,
      );
    }
    setPath(out, path, parseValue(setting.slice(at + 1)));
    // A name becomes its fields at once, so that later settings can change them.
    if (path[0] === "model" && isRecord(out["model"])) out["model"] = withVariants(out["model"]);
  }
  return out;
}

/**
 * `base` with `over` laid on top: records are merged key by key, anything else replaces. A record that names
 * its `type` (a schedule) replaces one of another type whole.
 */
export function mergeOverrides(base: unknown, over: unknown): unknown {
  if (!isRecord(base) || !isRecord(over)) return over;
  if ("type" in over && over["type"] !== base["type"]) return over;
  const out: Overrides = { ...base };
  for (const [key, value] of Object.entries(over)) out[key] = mergeOverrides(base[key], value);
  return out;
}

function setPath(target: Overrides, path: readonly string[], value: unknown): void {
  let at = target;
  for (const key of path.slice(0, -1)) {
    if (!isRecord(at[key])) at[key] = {};
    at = at[key] as Overrides;
  }
  at[path.at(-1)!] = value;
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Whether this is fields rather than a value. */
export const isRecord = (value: unknown): value is Overrides =>
  typeof value === "object" && value !== null && !Array.isArray(value);
