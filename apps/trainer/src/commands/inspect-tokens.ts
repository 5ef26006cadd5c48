/** @file `insula inspect tokens`: what tokenisation does to a dataset, before training. */
import { writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { findData } from "../data/source.js";
import { svgHistogram } from "../inspect/distribution.js";
import { auditLines } from "../inspect/report.js";
import { openTokenSource } from "../inspect/source.js";
import { auditTokens } from "../inspect/token-audit.js";
import { assertWritable } from "../run-dir.js";
import { type Io, positiveInt, wholeNumber } from "./command.js";
import { addConfigOptions, type ConfigOptions, configFrom } from "./options.js";

interface InspectTokensOptions extends ConfigOptions {
  tokenizers?: string;
  samples?: number;
  example: number;
  svg?: string;
  json: boolean;
}

/** Add the command to the group `inspect`. */
export function addInspectTokens(inspect: Command, io: Io): void {
  addConfigOptions(inspect.command("tokens"))
    .description("lengths, cuts and quantisation errors of a dataset's samples; no image is read")
    .option("--tokenizers <dir>", "folder of tokenizers, as for train")
    .option("--samples <n>", "frames to look at, spread evenly (default: all)", positiveInt)
    .option("--example <n>", "which of them to show token by token", wholeNumber, 0)
    .option("--svg <file>", "also draw the histogram")
    .option("--json", "print as JSON", false)
    .action(async (argument: string | undefined, options: InspectTokensOptions) => {
      const { tokenizers, samples, example, svg } = options;
      if (svg !== undefined) await assertWritable(dirname(resolve(svg)), "--svg");
      const config = await configFrom(argument, options);
      const data = await findData(config, {
        ...(tokenizers === undefined ? {} : { tokenizers }),
        log: io.err,
      });
      const source = await openTokenSource(config, data);
      try {
        const audit = await auditTokens(source, {
          example,
          ...(samples === undefined ? {} : { limit: samples }),
        });
        if (svg !== undefined) {
          const title = `${audit.config}: tokens per sample (${audit.samples} samples)`;
          const { length: summary, maxTokenLen: limit } = audit;
          await writeFile(svg, svgHistogram(audit.histogram, { title, limit, summary }));
        }
        io.out(options.json ? JSON.stringify(audit, null, 2) : auditLines(audit).join("\n"));
        if (svg !== undefined) io.err(`histogram written to ${svg}`);
      } finally {
        await source.dataset.close();
      }
    });
}
