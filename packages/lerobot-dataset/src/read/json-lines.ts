/** @file JSON-lines files of v2.x metadata, each line checked to be an object. */
import { InsulaError } from "@insula/model-types";
import type { DatasetRoot } from "./root.js";

/** One line: its fields as they are, and how to complain about them. */
export interface JsonLine {
  readonly fields: Readonly<Record<string, unknown>>;
  /** `path:line: problem`, as `dataset/json`. */
  fail(problem: string): never;
}

/** The objects of a JSON-lines file. @throws InsulaError `dataset/missing-file`, `dataset/json` naming the line. */
export async function readJsonLines(root: DatasetRoot, relative: string): Promise<JsonLine[]> {
  const text = await root.text(relative);
  const path = `${root.path}/${relative}`;
  return text.split("\n").flatMap((line, i): JsonLine[] => {
    if (line.trim() === "") return [];
    const fail = (problem: string, cause?: unknown): never => {
      throw new InsulaError("dataset/json", `${path}:${i + 1}: ${problem}`, { cause });
    };
    let fields: unknown;
    try {
      fields = JSON.parse(line);
    } catch (cause) {
      fail("is not JSON", cause);
    }
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) fail("expected an object");
    return [{ fields: fields as Record<string, unknown>, fail }];
  });
}
