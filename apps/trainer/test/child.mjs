/**
 * Runs a TypeScript module of this folder in a process of its own, from source as tests run:
 *
 *     node test/child.mjs toy-run.ts ARGS…
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// vite comes with vitest, and only vitest can see it.
const require = createRequire(createRequire(import.meta.url).resolve("vitest/package.json"));
const { runnerImport } = await import(pathToFileURL(require.resolve("vite")).href);

const conditions = ["@insula/source", "node", "import", "default"];
const { module } = await runnerImport(new URL(process.argv[2], import.meta.url).pathname, {
  configFile: false,
  logLevel: "error",
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["node", "import", "default"] } },
});
await module.main(process.argv.slice(3));
