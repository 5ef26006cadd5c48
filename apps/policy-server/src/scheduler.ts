/**
 * @file Who is next: a bounded queue before one model. While a batch is in the model (on ONNX Runtime's threads),
 * the observations that arrive are transformed and wait; when it is free, as many as it takes go in together.
 */
import { InsulaError, type NdArray, type Sample } from "@insula/model-types";
import type { Prepared } from "@insula/policy";
import type { Metrics } from "./metrics.js";
import type { Limits } from "./options.js";
import type { Slot } from "./slot.js";

interface Job {
  prepared: Prepared;
  slot: Slot;
  arrived: number;
  resolve(result: Sample): void;
  reject(error: unknown): void;
}

export interface Scheduler {
  /**
   * Actions for one observation.
   * @param signal its client has gone: the request is dropped if it still waits
   * @throws InsulaError `server/busy`, `server/deadline`, `server/gone`, and those of `Policy.prepare`
   */
  submit(
    observation: Sample,
    options: { signal: AbortSignal; noise?: NdArray<Float32Array> },
  ): Promise<Sample>;
  /** Requests that wait. */
  waiting(): number;
}

export interface SchedulerParts {
  limits: Pick<Limits, "maxQueue" | "deadlineMs" | "batchWaitMs">;
  /** The policy to use for what arrives now. */
  slot(): Slot;
  /** Clients connected: no more requests than that can come. */
  clients(): number;
  metrics: Metrics;
}

export function createScheduler({ limits, slot, clients, metrics }: SchedulerParts): Scheduler {
  const { maxQueue, deadlineMs, batchWaitMs } = limits;
  const queue: Job[] = [];
  /** Batches in the model. */
  let running = 0;
  let gathering = false;
  let arrival: (() => void) | undefined;

  /** Let others join, as long as that can and may be waited for. */
  const gather = async (most: number): Promise<void> => {
    const until = performance.now() + batchWaitMs;
    while (queue.length < Math.min(most, clients())) {
      const left = until - performance.now();
      if (left <= 0) return;
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        arrival = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  };

  /** The next batch: of one policy, the old one's requests first after a reload. */
  const take = (): Job[] => {
    const from = queue[0]?.slot;
    let n = 0;
    while (from && n < from.policy.maxBatch && queue[n]?.slot === from) n += 1;
    return queue.splice(0, n);
  };

  const compute = async (jobs: readonly Job[]): Promise<void> => {
    const begin = performance.now();
    for (const job of jobs) metrics.queueSeconds.observe((begin - job.arrived) / 1000);
    metrics.batchSize.observe(jobs.length);
    try {
      const results = await jobs[0]!.slot.policy.run(jobs.map((job) => job.prepared));
      metrics.modelSeconds.observe((performance.now() - begin) / 1000);
      for (const [i, job] of jobs.entries()) job.resolve(results[i]!);
    } catch (error) {
      for (const job of jobs) job.reject(error);
    }
  };

  /** Hand out batches as long as there are requests and room in the model. */
  const pump = async (): Promise<void> => {
    if (gathering) return;
    while (queue.length > 0 && running < queue[0]!.slot.policy.maxParallel) {
      gathering = true;
      await gather(queue[0]!.slot.policy.maxBatch);
      gathering = false;
      const jobs = take();
      if (jobs.length === 0) continue;
      running += 1;
      void compute(jobs).finally(() => {
        running -= 1;
        void pump();
      });
    }
  };

  return {
    waiting: () => queue.length,
    async submit(observation, { signal, noise }) {
      if (queue.length >= maxQueue) {
        throw new InsulaError(
          "server/busy",
          `busy: ${queue.length} requests wait already; try again, or raise --max-queue`,
        );
      }
      const arrived = performance.now();
      const current = slot();
      const done = current.use();
      let timer: NodeJS.Timeout | undefined;
      let leave: (() => void) | undefined;
      try {
        const prepared = current.policy.prepare(observation, noise ? { noise } : {});
        return await new Promise<Sample>((resolve, reject) => {
          const job: Job = { prepared, slot: current, arrived, resolve, reject };
          const drop = (code: string, message: string) => {
            const at = queue.indexOf(job);
            if (at >= 0) queue.splice(at, 1);
            reject(new InsulaError(code, message));
          };
          leave = () => drop("server/gone", "the client left");
          signal.addEventListener("abort", leave, { once: true });
          const left = deadlineMs - (performance.now() - arrived);
          timer = setTimeout(
            () => drop("server/deadline", `no answer within ${deadlineMs} ms (--deadline-ms)`),
            Math.max(0, left),
          );
          queue.push(job);
          arrival?.();
          void pump();
        });
      } finally {
        clearTimeout(timer);
        if (leave) signal.removeEventListener("abort", leave);
        done();
      }
    },
  };
}
