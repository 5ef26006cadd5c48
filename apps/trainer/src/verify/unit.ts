/**
 * @file One set of golden files that belong together (a model case, a tokenizer) while it is verified: reads
 * the files, takes what was computed, compares, remembers it for `--out`, and at the end knows what in the
 * files nothing was compared with.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InsulaError, type NdArray } from "@insula/model-types";
import {
  dtypeOf,
  type FileTensor,
  readSafetensors,
  type Writable,
  writeSafetensors,
} from "@insula/safetensors";
import type { Backend } from "../backend.js";
import { type GoldenFolder, joinPath } from "./folder.js";
import type { Findings, ItemRecord } from "./report.js";
import { compare, type Tolerance, type ToleranceSet, toleranceIn, toleranceText } from "./tolerance.js";
import { asArray, brief, canonical, castTo, indexOf, parseJson, setAt } from "./values.js";

export interface PutOptions {
  /** One flag per row; rows with 0 are not compared. */
  rows?: ArrayLike<number>;
  /** See {@link ItemRecord.group}. */
  group?: string;
  /** Compare with this instead of what the file holds under the name (for values derived from golden ones). */
  expected?: NdArray;
}

type Json = Record<string, unknown>;

export interface Unit {
  /** Path of its directory, or of its files without extension. */
  readonly name: string;
  /** Folder with FAST+'s files and others that the goldens refer to. */
  readonly tokenizers: string;
  /** Roots of all golden folders of this run. */
  readonly roots: readonly string[];
  /** Where models are run. */
  readonly backend: Backend;
  /** Absolute path of a file beside the unit's. */
  path(...parts: string[]): string;
  has(file: string): boolean;
  /** The tensors of one of its files; none when there is no such file. */
  tensors(file: string): ReadonlyMap<string, FileTensor>;
  /** One of its JSON files; `{}` when there is none. */
  json(file: string): Json;
  /** Mark inputs and descriptions, which there is nothing to compare with; without names the whole file. */
  used(file: string, ...names: string[]): void;
  /** A tensor that was computed: compare it if the file has it, and keep it for `--out`. */
  put(file: string, name: string, actual: Writable, tolerance: Tolerance, options?: PutOptions): void;
  /** A value of a JSON file at `path`: numbers and lists of numbers by tolerance, everything else exactly. */
  putValue(
    file: string,
    path: readonly string[],
    actual: unknown,
    tolerance: Tolerance,
    options?: PutOptions,
  ): void;
  /** The text of a JSON file, byte for byte but for a final newline. */
  putText(file: string, text: string): void;
  /** Something found wrong that is no tensor or value of a file. */
  fail(item: string, note: string): void;
  /** Something that cannot be compared, and why; without a name the whole file. */
  skip(file: string, name: string | undefined, reason: string): void;
  /** Account for everything and write what was computed. */
  finish(reason?: string): Promise<void>;
}

export interface UnitOptions {
  folder: GoldenFolder;
  /** Directory in the folder, and the files in it that the unit knows. */
  dir: string;
  files: readonly string[];
  name: string;
  tokenizers: string;
  roots: readonly string[];
  backend: Backend;
  tolerances: ToleranceSet;
  /** Folder for what was computed. */
  out: string | undefined;
  findings: Findings;
}

/** Golden files lack what a computation starts from; its items are then listed as not checked. */
export function missingInput(what: string): InsulaError {
  return new InsulaError("verify/missing-input", `needs ${what}, which is not there`);
}

/** Read the unit's files. */
export async function openUnit(options: UnitOptions): Promise<Unit> {
  const { folder, dir, files, name, tokenizers, roots, backend, tolerances, out, findings } = options;
  const golden = folder.name;
  const path = (...parts: string[]) => join(folder.root, dir, ...parts);
  const itemOf = (file: string, item: string) => joinPath(dir, `${file.replace(/\.[^./]*$/, "")}/${item}`);
  const tensorFiles = new Map<string, Map<string, FileTensor>>();
  const jsonFiles = new Map<string, Json>();
  const texts = new Map<string, string>();
  for (const file of files) {
    if (file.endsWith(".safetensors")) tensorFiles.set(file, await readSafetensors(path(file)));
    if (!file.endsWith(".json")) continue;
    const text = await readFile(path(file), "utf8");
    texts.set(file, text);
    jsonFiles.set(file, parseJson(text, path(file)));
  }
  /** Names that something was compared with, or that need not be. */
  const accounted = new Map<string, Set<string> | "whole">();
  const outTensors = new Map<string, Map<string, Writable>>();
  const outJson = new Map<string, Json>();
  const outTexts = new Map<string, string>();

  const use = (file: string, names: readonly string[]) => {
    const known = accounted.get(file);
    if (known === "whole") return;
    if (names.length === 0) accounted.set(file, "whole");
    else accounted.set(file, new Set([...(known ?? []), ...names]));
  };
  const record = (item: string, tolerance: string, found: Partial<ItemRecord> & { ok: boolean }) =>
    findings.items.push({ golden, item, maxAbs: 0, maxRel: 0, tolerance, ...found });

  const judge = (item: string, actual: NdArray, expected: NdArray, contract: Tolerance, opts: PutOptions) => {
    const tolerance = toleranceIn(tolerances, contract);
    const group = opts.group === undefined ? {} : { group: joinPath(dir, opts.group) };
    const text = toleranceText(tolerance);
    if (actual.shape.join() !== expected.shape.join()) {
      const note = `expected shape [${expected.shape.join(", ")}], computed [${actual.shape.join(", ")}]`;
      record(item, text, { ok: false, maxAbs: Number.NaN, maxRel: Number.NaN, ...group, note });
      return;
    }
    const { ok, maxAbs, maxRel, worst } = compare(actual.data, expected.data, tolerance, opts.rows);
    const note = ok
      ? {}
      : {
          note: `at [${indexOf(worst, expected.shape)}] expected ${expected.data[worst]}, computed ${actual.data[worst]}`,
        };
    record(item, text, { ok, maxAbs, maxRel, ...group, ...note });
  };

  return {
    name,
    tokenizers,
    roots,
    backend,
    path,
    has: (file) => files.includes(file),
    tensors: (file) => tensorFiles.get(file) ?? new Map<string, FileTensor>(),
    json: (file) => jsonFiles.get(file) ?? {},
    used: (file, ...names) => use(file, names),
    put(file, name, actual, tolerance, opts = {}) {
      use(file, [name]);
      const expected = tensorFiles.get(file)?.get(name);
      const dtype = expected?.dtype ?? actual.dtype ?? dtypeOf(actual.data);
      const tensors = outTensors.get(file) ?? new Map<string, Writable>();
      outTensors.set(
        file,
        tensors.set(name, { data: castTo(actual.data, dtype), shape: actual.shape, dtype }),
      );
      const reference = opts.expected ?? expected;
      if (reference) judge(itemOf(file, name), actual, reference, tolerance, opts);
      else findings.computedOnly++;
    },
    putValue(file, keys, actual, tolerance, opts = {}) {
      use(file, [keys[0]!]);
      const target = outJson.get(file) ?? ((Array.isArray(jsonFiles.get(file)) ? [] : {}) as Json);
      outJson.set(file, target);
      setAt(target, keys, actual, jsonFiles.get(file));
      const expected = keys.reduce<unknown>(
        (value, key) => (value as Json | undefined)?.[key],
        jsonFiles.get(file),
      );
      if (expected === undefined) {
        findings.computedOnly++;
        return;
      }
      const item = itemOf(file, keys.join("/"));
      const [a, e] = [asArray(actual), asArray(expected)];
      if (a && e) {
        judge(item, a, e, tolerance, opts);
        return;
      }
      const ok = canonical(actual) === canonical(expected);
      const group = opts.group === undefined ? {} : { group: joinPath(dir, opts.group) };
      record(
        item,
        "exact",
        ok
          ? { ok, ...group }
          : { ok, ...group, note: `expected ${brief(expected)}, computed ${brief(actual)}` },
      );
    },
    putText(file, text) {
      use(file, []);
      outTexts.set(file, text);
      const expected = texts.get(file)?.trimEnd();
      if (expected === undefined) findings.computedOnly++;
      else {
        const ok = expected === text.trimEnd();
        record(itemOf(file, "text"), "exact", ok ? { ok } : { ok, note: "the text differs" });
      }
    },
    fail(item, note) {
      record(joinPath(name, item), "", { ok: false, maxAbs: Number.NaN, maxRel: Number.NaN, note });
    },
    skip(file, name, reason) {
      use(file, name === undefined ? [] : [name]);
      findings.notChecked.push({
        golden,
        file: joinPath(dir, file),
        ...(name === undefined ? {} : { name }),
        reason,
      });
    },
    async finish(reason) {
      for (const file of files) {
        const known = accounted.get(file);
        if (known === "whole") continue;
        const names = [...(tensorFiles.get(file)?.keys() ?? Object.keys(jsonFiles.get(file) ?? {}))];
        const rest = names.filter((n) => !known?.has(n));
        if (known === undefined || reason !== undefined) {
          if (rest.length === 0 && names.length > 0) continue;
          findings.notChecked.push({ golden, file: joinPath(dir, file), reason: reason ?? "unknown file" });
          continue;
        }
        for (const n of rest) {
          findings.notChecked.push({ golden, file: joinPath(dir, file), name: n, reason: "unknown name" });
        }
      }
      if (out === undefined) return;
      for (const [file, tensors] of outTensors) {
        const target = join(out, dir, file);
        await mkdir(dirname(target), { recursive: true });
        await writeSafetensors(target, tensors);
      }
      for (const [file, json] of outJson) {
        if (!outTexts.has(file)) outTexts.set(file, `${JSON.stringify(json, null, 1)}\n`);
      }
      for (const [file, text] of outTexts) {
        const target = join(out, dir, file);
        await mkdir(dirname(target), { recursive: true });
        await writeFile(target, text);
      }
    },
  };
}
