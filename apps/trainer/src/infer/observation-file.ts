/**
 * @file An observation written by hand, as JSON: text and numbers as they are, lists of numbers as float64 arrays,
 * lists of three levels that hold whole numbers of 0 to 255 as images.
 */
import { readFile } from "node:fs/promises";
import { InsulaError, type NdArray, type Sample } from "@insula/model-types";

/**
 * Read one.
 * @throws InsulaError `infer/observation` naming file and key
 */
export async function readObservation(path: string): Promise<Sample> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new InsulaError("infer/observation", `${path}: cannot be read (${cause.code})`, { cause });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InsulaError("infer/observation", `${path}: ${(cause as Error).message}`, { cause });
  }
  return record(value, path);
}

function record(value: unknown, at: string): Sample {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InsulaError("infer/observation", `${at}: expected an object of observations`);
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, leaf(item, `${at}: ${key}`)]));
}

function leaf(value: unknown, at: string): Sample[string] {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return Array.isArray(value) ? array(value, at) : record(value, at);
}

function array(list: unknown[], at: string): NdArray {
  const shape: number[] = [];
  for (let x: unknown = list; Array.isArray(x); x = x[0]) shape.push(x.length);
  const flat: number[] = [];
  const walk = (x: unknown, axis: number): void => {
    const ok = Array.isArray(x) ? x.length === shape[axis] : typeof x === "number" && axis === shape.length;
    if (!ok) throw new InsulaError("infer/observation", `${at}: expected numbers in lists of equal lengths`);
    if (Array.isArray(x)) for (const item of x) walk(item, axis + 1);
    else flat.push(x as number);
  };
  walk(list, 0);
  const isImage = shape.length === 3 && flat.every((v) => Number.isInteger(v) && v >= 0 && v <= 255);
  return { data: isImage ? Uint8Array.from(flat) : Float64Array.from(flat), shape };
}
