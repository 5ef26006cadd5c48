#!/usr/bin/env node
/**
 * @file The `insula` command.
 *
 *     insula train                                  200 steps of a tiny pi05_droid_ki on the embedded data
 *     insula train pi05_droid_ki --dataset DIR --size small
 *     insula evaluate --checkpoint runs/pi05_droid_ki/default
 */
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { processIo } from "./commands/command.js";
import { runCli } from "./program.js";

// ONNX Runtime reads it when it is loaded, which the commands do lazily.
process.env["ORT_DISABLE_TELEMETRY"] ??= "1";

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  // The code is set, not exited with: what is still being written to a pipe gets there.
  process.exitCode = await runCli(process.argv.slice(2), processIo);
}
