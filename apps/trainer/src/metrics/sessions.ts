/** @file `sessions.jsonl`: when, where and with which version a run was started, one row per start. */
import { appendFile, readFile } from "node:fs/promises";
import { arch, availableParallelism, cpus, hostname, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { onnxRuntimeVersion } from "@insula/ort-session";
import { codeVersion } from "../checkpoint.js";

export interface SessionRow {
  /** Seconds since 1970. */
  started: number;
  /** Steps that had been taken. */
  step: number;
  version: string;
  host: string;
  cpu: string;
  cores: number;
  memoryBytes: number;
  os: string;
  node: string;
  onnxruntime: string;
  device: string;
}

const NAME = "sessions.jsonl";

/** Append a row about this process. */
export async function recordSession(
  runDir: string,
  { step, device }: { step: number; device: string },
): Promise<void> {
  const row: SessionRow = {
    started: Math.round(Date.now() / 1000),
    step,
    version: await codeVersion(),
    host: hostname(),
    cpu: cpus()[0]?.model.trim() ?? arch(),
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    os: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    onnxruntime: onnxRuntimeVersion(),
    device,
  };
  await appendFile(join(runDir, NAME), `${JSON.stringify(row)}\n`);
}

/** The starts of a run; none where it was recorded by nobody. */
export async function readSessions(runDir: string): Promise<SessionRow[]> {
  const text = await readFile(join(runDir, NAME), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as SessionRow];
    } catch {
      return []; // cut short by a crash
    }
  });
}
