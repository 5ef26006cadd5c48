/**
 * @file READMEs whose examples are run: the first ```ts block of a package's README, as its own module inside
 * the package, so that its imports resolve as a user's would.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The first TypeScript block of the README in `packageDir`. */
export function readmeExample(packageDir: URL): string {
  const text = readFileSync(new URL("README.md", packageDir), "utf8");
  const block = /```ts\n([\s\S]*?)```/.exec(text);
  if (!block) throw new Error(`${fileURLToPath(packageDir)}README.md has no ts block`);
  return block[1]!;
}

/** Run the example; whatever it throws is the test's failure. Returns the values of each line that it logged. */
export async function readmeLog(packageDir: URL): Promise<unknown[][]> {
  const dir = mkdtempSync(join(fileURLToPath(packageDir), "test", ".readme-"));
  const lines: unknown[][] = [];
  const { log } = console;
  console.log = (...values: unknown[]) => lines.push(values);
  try {
    const path = join(dir, "example.ts");
    writeFileSync(path, readmeExample(packageDir));
    await import(/* @vite-ignore */ pathToFileURL(path).href);
    return lines;
  } finally {
    console.log = log;
    rmSync(dir, { recursive: true });
  }
}

/** {@link readmeLog} as lines of text. */
export async function runReadmeExample(packageDir: URL): Promise<string[]> {
  return (await readmeLog(packageDir)).map((values) => values.map(String).join(" "));
}
