/** Starting `toy-run.ts` as a process, and watching it. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { ToyRun } from "./toy-run.js";

const CHILD = fileURLToPath(new URL("child.mjs", import.meta.url));

export interface Watched {
  readonly process: ChildProcess;
  /** What it printed so far. */
  output(): string;
  /** Resolves when `pattern` has been printed; rejects when the process ends without. */
  printed(pattern: RegExp): Promise<void>;
  /** Exit code, or the signal that ended it, and how long after the call to `startToy`. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** @param under a command to start it with: `prlimit`, for example. */
export function startToy(run: ToyRun, under: readonly string[] = []): Watched {
  return startChild("toy-run.ts", [JSON.stringify(run)], under);
}

/** Start any module of this folder that exports `main`. */
export function startChild(module: string, args: readonly string[], under: readonly string[] = []): Watched {
  const [command, ...rest] = [...under, process.execPath, CHILD, module, ...args];
  const child = spawn(command!, rest, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      for (const look of watchers) look();
    });
  }
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.on("close", (code, signal) => resolve({ code, signal })),
  );
  return {
    process: child,
    output: () => output,
    ended,
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(output)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
        void ended.then(() => reject(new Error(`ended without ${pattern}:\n${output}`)));
      }),
  };
}
