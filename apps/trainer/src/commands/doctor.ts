/** @file `insula doctor`: what this machine has, what a run on it would lack, and getting what CUDA needs. */
import { resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import { onnxRuntimeLibrary } from "@insula/ort-session";
import { installCudaLibraries, missingPart } from "@insula/ort-session/cuda-libraries";
import { examine } from "../doctor/index.js";
import { gigabytes } from "../plan.js";
import { table } from "../table.js";
import type { Install, Io } from "./command.js";

interface DoctorOptions {
  json: boolean;
  installCuda: boolean;
  providerOnly: boolean;
  dir?: string;
}

export const installDoctor: Install = (program, io) => {
  program
    .command("doctor")
    .description("what this machine has for training; exits with 1 if something necessary is wrong")
    .option("--json", "print as JSON", false)
    .option("--install-cuda", "get ONNX Runtime's CUDA provider and CUDA's libraries from PyPI", false)
    .option("--provider-only", "with --install-cuda: CUDA's own libraries are on this machine already", false)
    .option(
      "--dir <dir>",
      "with --install-cuda: another folder (default: INSULA_CUDA_DIR or the user's cache)",
    )
    .action(async (options: DoctorOptions) => {
      if (options.installCuda) return install(options, io);
      for (const flag of ["providerOnly", "dir"] as const) {
        if (!options[flag]) continue;
        const name = flag === "dir" ? "--dir" : "--provider-only";
        throw new InsulaError("cli/option", `${name} belongs to --install-cuda`);
      }
      const findings = await examine();
      if (options.json) io.out(JSON.stringify(findings, null, 2));
      else {
        io.out(
          table(
            ["part", "state", ""],
            findings.map((f) => [f.part, f.state, f.detail]),
          ),
        );
        const fixes = findings.filter((f) => f.state !== "ok" && f.fix !== undefined);
        if (fixes.length > 0)
          io.out(
            `\n${table(
              ["to mend", ""],
              fixes.map((f) => [f.part, f.fix!]),
            )}`,
          );
      }
      if (findings.some((f) => f.state === "problem")) io.exitCode = 1;
    });
};

/** Stopped by Ctrl-C, it goes on from there the next time. */
async function install({ providerOnly, dir, json }: DoctorOptions, io: Io): Promise<void> {
  const controller = new AbortController();
  const stop = () => controller.abort(new InsulaError("cuda/stopped", "stopped; run it again to continue"));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    const result = await installCudaLibraries({
      providerOnly,
      ...(dir === undefined ? {} : { dir: resolve(dir) }),
      log: json ? () => undefined : io.out,
      onProgress: progress(json ? () => undefined : io.err),
      signal: controller.signal,
    });
    const { changed, downloaded, manifest } = result;
    if (json) {
      io.out(JSON.stringify({ dir: result.dir, changed, downloaded, manifest }, null, 2));
      return;
    }
    const size = manifest.files.reduce((sum, f) => sum + f.size, 0);
    io.out(
      changed
        ? `${gigabytes(size)} in ${result.dir}, ${gigabytes(downloaded)} of wheels downloaded`
        : `nothing to do: everything is in ${result.dir}`,
    );
    if (result.dir !== dirOf(onnxRuntimeLibrary().path))
      io.out(`INSULA_CUDA_DIR=${result.dir} makes sessions use it`);
    io.out(missingPart(result.dir) ?? "everything that the CUDA provider needs can be loaded");
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}

const dirOf = (path: string): string => resolve(path, "..");

/** A line per tenth of a wheel. */
function progress(line: (text: string) => void) {
  const told = new Map<string, number>();
  return (filename: string, received: number, total: number | undefined) => {
    if (total === undefined) return;
    const tenth = Math.floor((10 * received) / total);
    if (tenth <= (told.get(filename) ?? 0)) return;
    told.set(filename, tenth);
    line(`${filename}: ${tenth * 10} % of ${gigabytes(total)}`);
  };
}
