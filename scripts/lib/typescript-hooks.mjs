/**
 * Module hooks with which Node loads this repository's TypeScript: `./x.js` is `./x.ts` where only that exists, packages resolve by the
 * `@insula/source` condition, types are stripped by the compiler that vitest uses.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const vite = ["vitest", "vite"].reduce(
  (file, name) => createRequire(file).resolve(`${name}/package.json`),
  import.meta.url,
);
const { transformSync } = await import(pathToFileURL(createRequire(vite).resolve("rolldown/utils")).href);

export async function resolve(specifier, context, next) {
  const found = { ...context, conditions: ["@insula/source", ...context.conditions] };
  try {
    return await next(specifier, found);
  } catch (error) {
    if (!/^(\.|file:).*\.js$/.test(specifier)) throw error;
    return next(specifier.replace(/\.js$/, ".ts"), found);
  }
}

export async function load(url, context, next) {
  if (!/^file:.*\.ts$/.test(url)) return next(url, context);
  const path = fileURLToPath(url);
  const { code, errors } = transformSync(path, readFileSync(path, "utf8"));
  if (errors.length > 0) throw new Error(`${path}: ${errors[0].message}`);
  return { format: "module", source: code, shortCircuit: true };
}
