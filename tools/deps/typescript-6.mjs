/**
 * @file Imported before dependency-cruiser: it takes the `typescript` nearest to its own folder, which is the
 * workspace's TypeScript 7. That one has no JavaScript API, and the cruise then ends well with no module seen.
 * From here on `typescript` is this package's TypeScript 6, for `import` (a loader hook) and for `require`.
 */
import Module, { createRequire, register } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const main = require.resolve("typescript");
const folder = dirname(require.resolve("typescript/package.json"));

const hook = `export const resolve = (name, context, next) => name === "typescript"
  ? { url: ${JSON.stringify(pathToFileURL(main).href)}, shortCircuit: true } : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

const { _resolveFilename } = Module;
Module._resolveFilename = (name, ...rest) => {
  if (name === "typescript") return main;
  if (name.startsWith("typescript/")) return join(folder, name.slice("typescript/".length));
  return _resolveFilename.call(Module, name, ...rest);
};
