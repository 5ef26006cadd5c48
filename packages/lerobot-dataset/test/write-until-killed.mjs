/**
 * node write-until-killed.mjs DIR create|append: adds tiny episodes to a dataset without end, from source, printing
 * the number of each that is done. Somebody kills it.
 */
import { createViteServer } from "vitest/node";

const conditions = ["@insula/source", "node", "import", "default"];
const server = await createViteServer({
  configFile: false,
  root: import.meta.dirname,
  logLevel: "error",
  server: { middlewareMode: true, hmr: false, watch: null },
  optimizeDeps: { noDiscovery: true },
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["node", "import", "default"] } },
});
const { writeUntilKilled } = await server.ssrLoadModule("./write-until-killed.ts");
const [dir, mode] = process.argv.slice(2);
await writeUntilKilled(dir, mode === "append");
