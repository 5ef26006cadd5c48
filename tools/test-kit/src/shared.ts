/**
 * @file The one place that knows where the goldens and the real data lie: `../shared` beside the repository,
 * or `INSULA_SHARED`. They are never copied into it. In CI they must be there; in a user's clone without
 * them, tests that need them are reported as 'shared data missing' and do not fail.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type FileTensor, parseSafetensors } from "@insula/safetensors";
import { describe, type SuiteFactory, test } from "vitest";

const root: string =
  process.env["INSULA_SHARED"] ?? fileURLToPath(new URL("../../../../shared", import.meta.url));

/** Whether the shared data is there. */
export const hasShared: boolean = existsSync(join(root, "golden"));

/** A path inside the shared data. */
export function sharedPath(...parts: string[]): string {
  return join(root, ...parts);
}

/** `describe` for tests that need the shared data. */
export function describeShared(name: string, factory: SuiteFactory): void {
  if (hasShared) describe(name, factory);
  else if (process.env["CI"])
    describe(name, () =>
      test("shared data", () => {
        throw new Error(`shared data missing: ${root} (it must be there in CI)`);
      }),
    );
  else
    describe(name, () => {
      test.skip(`shared data missing (${root})`, () => {});
    });
}

/** A golden file of tensors: name → tensor. */
export function sharedTensors(...parts: string[]): Map<string, FileTensor> {
  return parseSafetensors(readFileSync(sharedPath(...parts)), sharedPath(...parts));
}

/** A golden JSON file. */
export function sharedJson<T>(...parts: string[]): T {
  return JSON.parse(readFileSync(sharedPath(...parts), "utf8")) as T;
}
