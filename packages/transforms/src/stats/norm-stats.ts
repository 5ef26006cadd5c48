/**
 * @file Normalisation statistics and openpi's `norm_stats.json` text (`shared/normalize.py`): byte for byte
 * what its `serialize_json` writes, and strict about what it reads. Files: `@insula/transforms/node`.
 */
import { InsulaError } from "@insula/model-types";

/** Statistics of one key, `[dim]` each. All but mean and std are absent in files that were computed without. */
export interface NormStats {
  readonly mean: Float64Array;
  /** Population standard deviation. */
  readonly std: Float64Array;
  readonly q01?: Float64Array;
  readonly q99?: Float64Array;
  /** Smallest and largest value, for min-max normalisation; openpi's files have neither. */
  readonly min?: Float64Array;
  readonly max?: Float64Array;
}

/** Flat sample key (`state`, `actions`) → its statistics. */
export type NormStatsMap = Readonly<Record<string, NormStats>>;

/** What openpi writes, `null` for what is not there; our own fields follow where there are any. */
const FIELDS = ["mean", "std", "q01", "q99"] as const;
const EXTRA_FIELDS = ["min", "max"] as const;

/**
 * Read the text of a `norm_stats.json`. `file` is named in errors.
 * @throws InsulaError `norm-stats/json`, `norm-stats/layout`, `norm-stats/missing`, `norm-stats/number` or
 * `norm-stats/width`, naming file, key, field and dim.
 */
export function parseNormStats(text: string, file: string = "norm_stats.json"): Record<string, NormStats> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new InsulaError("norm-stats/json", `${file}: not JSON (${(cause as Error).message})`, { cause });
  }
  const table = isRecord(json) ? json["norm_stats"] : undefined;
  if (!isRecord(table)) {
    throw new InsulaError(
      "norm-stats/layout",
      `${file}: expected {"norm_stats": {"state": …, "actions": …}}, found ${describe(json)}`,
    );
  }
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, parseOne(value, key, file)]));
}

function parseOne(value: unknown, key: string, file: string): NormStats {
  if (!isRecord(value)) {
    throw new InsulaError(
      "norm-stats/layout",
      `${file}: ${key}: expected an object, found ${describe(value)}`,
    );
  }
  const out: Partial<Record<(typeof FIELDS | typeof EXTRA_FIELDS)[number], Float64Array>> = {};
  for (const field of [...FIELDS, ...EXTRA_FIELDS]) {
    const list = value[field];
    if (list === undefined || list === null) {
      if (field !== "mean" && field !== "std") continue;
      throw new InsulaError(
        "norm-stats/missing",
        `${file}: ${key}: '${field}' is missing (found ${Object.keys(value).join(", ") || "nothing"})`,
      );
    }
    if (!Array.isArray(list)) {
      throw new InsulaError(
        "norm-stats/layout",
        `${file}: ${key}.${field}: expected a list of numbers, found ${describe(list)}`,
      );
    }
    const bad = list.findIndex((v) => typeof v !== "number" || !Number.isFinite(v));
    if (bad >= 0) {
      throw new InsulaError(
        "norm-stats/number",
        `${file}: ${key}.${field}[${bad}]: expected a finite number, found ${JSON.stringify(list[bad])}`,
      );
    }
    out[field] = Float64Array.from(list as number[]);
    if (out[field].length !== out.mean!.length) {
      throw new InsulaError(
        "norm-stats/width",
        `${file}: ${key}.${field}: expected ${out.mean!.length} dims as in mean, found ${out[field].length}`,
      );
    }
  }
  return out as NormStats;
}

/** The text of a `norm_stats.json`, indented by two, without a final newline, as openpi writes it. */
export function serializeNormStats(stats: NormStatsMap): string {
  const list = (values: ArrayLike<number> | undefined): string =>
    values ? `[\n${Array.from(values, (v) => `        ${numberText(v)}`).join(",\n")}\n      ]` : "null";
  const entries = Object.entries(stats).map(
    ([key, s]) =>
      `    ${JSON.stringify(key)}: {\n${[...FIELDS, ...EXTRA_FIELDS.filter((f) => s[f])].map((f) => `      "${f}": ${list(s[f])}`).join(",\n")}\n    }`,
  );
  return `{\n  "norm_stats": {\n${entries.join(",\n")}\n  }\n}`;
}

/** Shortest round-trip digits with pydantic's exponent thresholds: `0.0`, `1e-10`, `0.00001`, `1e16`. */
function numberText(v: number): string {
  if (!Number.isFinite(v)) {
    throw new InsulaError("norm-stats/number", `serializeNormStats: cannot write ${v}`);
  }
  const magnitude = Math.abs(v);
  if (magnitude !== 0 && (magnitude < 1e-5 || magnitude >= 1e16)) return v.toExponential().replace("e+", "e");
  if (Number.isInteger(v)) return `${Object.is(v, -0) ? "-0" : v}.0`;
  return String(v);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function describe(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isRecord(value)) return `an object with keys ${Object.keys(value).slice(0, 5).join(", ") || "(none)"}`;
  return JSON.stringify(value) ?? typeof value;
}
