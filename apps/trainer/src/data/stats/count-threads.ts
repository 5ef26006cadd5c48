/** @file Parts of a dataset counted by several threads; their statistics come in the order of the parts. */
import { Worker } from "node:worker_threads";
import { InsulaError } from "@insula/model-types";
import { unpackRunningStats } from "@insula/transforms";
import type { CountJob, CountReply } from "./count-worker.js";
import type { FrameStats } from "./frame-stats.js";

/**
 * The statistics of each part (its `episode_index`es), by `threads` threads. At most `threads` of them wait for their
 * turn.
 * @throws InsulaError what a thread threw, `norm-stats/worker` when one died.
 */
export async function* countInThreads(
  parts: readonly (readonly number[])[],
  job: CountJob,
  threads: number,
): AsyncGenerator<FrameStats, void, undefined> {
  const workers = Array.from(
    { length: Math.min(threads, parts.length) },
    () => new Worker(new URL("./count-worker.js", import.meta.url), { workerData: job }),
  );
  try {
    const waiting = workers.map((worker, i) => ask(worker, parts[i]!));
    for (let i = 0; i < parts.length; i++) {
      const at = i % workers.length;
      const stats = await waiting[at]!;
      const next = parts[i + workers.length];
      if (next) waiting[at] = ask(workers[at]!, next);
      yield stats;
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function ask(worker: Worker, episodes: readonly number[]): Promise<FrameStats> {
  const answer = new Promise<FrameStats>((resolve, reject) => {
    const died = (what: unknown): void =>
      reject(new InsulaError("norm-stats/worker", `a counting thread ended: ${what}`, { cause: what }));
    worker.once("error", died);
    worker.once("exit", died);
    worker.once("message", (reply: CountReply) => {
      worker.off("error", died);
      worker.off("exit", died);
      if ("code" in reply) reject(new InsulaError(reply.code as `${string}/${string}`, reply.message));
      else {
        const { state, actions } = reply;
        resolve({ state: unpackRunningStats(state), actions: unpackRunningStats(actions) });
      }
    });
    worker.postMessage(episodes);
  });
  answer.catch(() => {}); // Reported when its turn comes.
  return answer;
}
