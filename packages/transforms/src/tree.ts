/**
 * @file Nested samples and their flat form, keys joined with `/` (openpi `transforms.py` `flatten_dict`,
 * `unflatten_dict`, `transform_dict`, `apply_tree`). Empty records vanish when flattened, as they do there.
 */
import { closestMatch, InsulaError, isNdArray, type Leaf, type Sample } from "@insula/model-types";

/** A nested record whose leaves are `L`; a {@link Sample} is a `Tree<Leaf>`. */
export interface Tree<L> {
  [key: string]: L | Tree<L>;
}

function isBranch(value: unknown): value is Tree<unknown> {
  return typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !isNdArray(value);
}

/** The leaves of `sample` under their `/`-joined keys, in insertion order. */
export function flatten(sample: Sample): Record<string, Leaf> {
  const entries: [string, Leaf][] = [];
  const walk = (node: Sample, prefix: string): void => {
    for (const [key, value] of Object.entries(node)) {
      if (isBranch(value)) walk(value as Sample, `${prefix}${key}/`);
      else entries.push([prefix + key, value as Leaf]);
    }
  };
  walk(sample, "");
  return Object.fromEntries(entries);
}

/**
 * The inverse of {@link flatten}: every `/` in a key opens a nested record.
 * @throws InsulaError `transforms/alias` when one key is both a leaf and a record (`a` beside `a/b`).
 */
export function unflatten(flat: Readonly<Record<string, Leaf>>): Sample {
  const root = new Map<string, unknown>();
  for (const [key, value] of Object.entries(flat)) {
    const path = key.split("/");
    const last = path.pop()!;
    let node = root;
    for (const [i, part] of path.entries()) {
      const next = node.get(part) ?? new Map<string, unknown>();
      if (!(next instanceof Map)) throw aliasError(path.slice(0, i + 1).join("/"), key);
      node.set(part, next);
      node = next;
    }
    if (node.get(last) instanceof Map) throw aliasError(key, `${key}/…`);
    node.set(last, value);
  }
  const build = (node: Map<string, unknown>): Sample =>
    Object.fromEntries([...node].map(([k, v]) => [k, v instanceof Map ? build(v) : (v as Leaf)]));
  return build(root);
}

const aliasError = (leaf: string, other: string): InsulaError =>
  new InsulaError("transforms/alias", `unflatten: leaf '${leaf}' is also a node of '${other}'`);

/**
 * Apply `fn` to every leaf of `sample` whose flat key is in `selector`; other leaves pass through (openpi
 * `apply_tree`). With `strict`, every key of the selector must be there.
 * @throws InsulaError `transforms/missing-key`.
 */
export function applyTree<S>(
  sample: Sample,
  selector: Readonly<Record<string, S>>,
  fn: (leaf: Leaf, selected: S, key: string) => Leaf,
  options: { strict?: boolean; caller?: string } = {},
): Sample {
  const flat = flatten(sample);
  if (options.strict) {
    for (const key of Object.keys(selector)) {
      if (!Object.hasOwn(flat, key)) throw missingKey(options.caller ?? "applyTree", key, Object.keys(flat));
    }
  }
  return unflatten(
    Object.fromEntries(
      Object.entries(flat).map(([key, leaf]) => [
        key,
        Object.hasOwn(selector, key) ? fn(leaf, selector[key]!, key) : leaf,
      ]),
    ),
  );
}

/** The error for a key that is not there: names it, the nearest one and all that are. */
export function missingKey(caller: string, key: string, available: readonly string[]): InsulaError {
  const close = closestMatch(key, available);
  return new InsulaError(
    "transforms/missing-key",
    `${caller}: missing key '${key}'${close ? `, did you mean '${close}'?` : ""} ` +
      `(available: ${available.length > 0 ? available.join(", ") : "none"})`,
  );
}

/**
 * Rename or remove leaves by regular expression (openpi `transform_dict`). A pattern must match a whole flat
 * key; the first that does wins; `null` removes the leaf. Replacements may use `$1` or Python's `\1`.
 * @throws InsulaError `transforms/duplicate-key` when two leaves get one name, `transforms/alias` when a leaf
 * would also be a record, `transforms/pattern` for a pattern that is no regular expression.
 */
export function transformDict(patterns: Readonly<Record<string, string | null>>, sample: Sample): Sample {
  const compiled = Object.entries(patterns).map(
    ([pattern, to]) => [compile(pattern), to?.replace(/\\(\d+)/g, "$$$1")] as const,
  );
  const out = new Map<string, Leaf>();
  for (const [key, leaf] of Object.entries(flatten(sample))) {
    const hit = compiled.find(([pattern]) => pattern.test(key));
    const renamed = hit ? (hit[1] === undefined ? undefined : key.replace(hit[0], hit[1])) : key;
    if (renamed === undefined) continue;
    if (out.has(renamed)) {
      throw new InsulaError(
        "transforms/duplicate-key",
        `transformDict: Key '${renamed}' already exists in output (renamed from '${key}')`,
      );
    }
    out.set(renamed, leaf);
  }
  return unflatten(Object.fromEntries(out));
}

function compile(pattern: string): RegExp {
  try {
    return new RegExp(`^(?:${pattern})$`, "su");
  } catch (cause) {
    throw new InsulaError(
      "transforms/pattern",
      `transformDict: '${pattern}' is no regular expression: ${(cause as Error).message}`,
      { cause },
    );
  }
}
