/** @file `insula verify`: compare every number of a golden folder with what this code computes. */
import { resolve } from "node:path";
import type { Device, Runtime } from "@insula/ort-session";
import { Option } from "commander";
import { makeBackend } from "../backend.js";
import { TOLERANCE_SETS, type ToleranceSet } from "../verify/tolerance.js";
import { collect, type Install } from "./command.js";
import { addDeviceOptions } from "./options.js";

interface VerifyCommandOptions {
  golden: string[];
  tokenizers?: string;
  out?: string;
  only?: string;
  device?: Device;
  runtime?: Runtime;
  tolerances?: ToleranceSet;
  json: boolean;
}

export const installVerify: Install = (program, io) => {
  addDeviceOptions(program.command("verify"))
    .description(
      "compute every item of golden folders and compare; exits with 1 if one differs or its inputs are missing, 2 if there is nothing",
    )
    .requiredOption("--golden <dir...>", "golden folders (also repeatable)", collect)
    .option("--tokenizers <dir>", "folder of the FAST+ files (default: ../shared/data beside the repository)")
    .option("--out <dir>", "write what was computed there, under the golden's own names")
    .option("--only <name>", "only parts whose name contains this, for example model/pi05 or ki/*")
    .addOption(
      new Option("--tolerances <set>", "how near is near enough (default: the device's)").choices(
        TOLERANCE_SETS,
      ),
    )
    .option("--json", "print the comparisons as JSON", false)
    .action(async ({ golden, tokenizers, out, only, tolerances, json, ...where }: VerifyCommandOptions) => {
      // Loaded here: it brings every package with it.
      const { runVerify } = await import("../verify/index.js");
      const { exitCode } = await runVerify({
        golden: golden.map((dir) => resolve(dir)),
        ...(tokenizers === undefined ? {} : { tokenizers: resolve(tokenizers) }),
        ...(out === undefined ? {} : { out: resolve(out) }),
        ...(only === undefined ? {} : { only }),
        // Products in TF32 have three decimal digits.
        backend: makeBackend({ device: "cpu", ...where, cuda: { tf32: false } }),
        ...(tolerances === undefined ? {} : { tolerances }),
        json,
        log: io.out,
      });
      if (exitCode !== 0) io.exitCode = exitCode;
    });
};
