/**
 * node --import scripts/lib/typescript-workers.mjs …
 *
 * Worker threads load this repository's TypeScript as it stands. For tests: vitest compiles what it imports itself,
 * but what a `Worker` runs is loaded by Node. Workers inherit the flag.
 */
import { register } from "node:module";
import { isMainThread } from "node:worker_threads";

if (!isMainThread) register("./typescript-hooks.mjs", import.meta.url);
