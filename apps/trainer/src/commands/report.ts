/** @file `insula report`: a run as one self-contained HTML page. */
import { dirname, join, resolve } from "node:path";
import { writeReport } from "../report/index.js";
import { assertWritable } from "../run-dir.js";
import type { Install } from "./command.js";

export const installReport: Install = (program, io) => {
  program
    .command("report")
    .description("write a run as one HTML page: curves, errors, predictions, data, tokens, configuration")
    .argument("<run>", "the run's folder; it may still be running")
    .option("--out <file>", "where the page goes (default: report.html in the run's folder)")
    .option("--dataset <dir>", "the run's dataset, when it is no longer where the run found it")
    .option("--sample", "sample actions from the latest checkpoint where no validation left any", false)
    .action(async (run: string, options: { out?: string; dataset?: string; sample: boolean }) => {
      const dir = resolve(run);
      const out = resolve(options.out ?? join(dir, "report.html"));
      await assertWritable(dirname(out), "--out");
      const { dataset, sample } = options;
      await writeReport(dir, { out, sample, log: io.err, ...(dataset === undefined ? {} : { dataset }) });
      io.out(out);
    });
};
