/**
 * Runs a TypeScript module of this folder in a process of its own, from source as tests run:
 *
 *     node test/child.mjs toy-run.ts ARGS…
 */
import { register } from "node:module";

register("../../../scripts/lib/typescript-hooks.mjs", import.meta.url);
const { main } = await import(new URL(process.argv[2], import.meta.url).href);
await main(process.argv.slice(3));
