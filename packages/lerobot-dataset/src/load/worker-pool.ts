/** @file Worker threads that read samples. Which of them reads a sample never changes the sample. */
import { Worker } from "node:worker_threads";
import { InsulaError, type Sample } from "@insula/model-types";
import type { FrameSource } from "../frame-source.js";
import { createLine, episodeKey, type Waiting } from "./assign.js";
import { fromWire, type WorkerReply, type WorkerRequest } from "./messages.js";
import type { BatchSlot } from "./plan.js";
import type { Reader } from "./readers.js";

/** What a worker runs: it calls the module's `openWorkerSource(data)`, see {@link OpenWorkerSource}. */
export interface WorkerSpec {
  /** An absolute `file:` URL. */
  module: string | URL;
  /** Passed on as structured clone: plain data, or what a function (called once) makes of it. */
  data: unknown;
}

/**
 * What a worker's module exports under the name `openWorkerSource`. Arrays of a sample are given away without a copy:
 * none may be handed out twice.
 */
export type OpenWorkerSource<T = never> = (data: T) => WorkerSource | Promise<WorkerSource>;

/** Samples as a worker reads them. */
export interface WorkerSource {
  /** The sample as batches hold it. Draw from `slot` what is drawn at random. */
  sample(index: number, slot: BatchSlot): Promise<Sample>;
  /** Called once, when the worker ends. */
  close(): Promise<void>;
}

/** Requests that a worker holds: it goes on while this thread is busy with something else. */
const DEPTH = 4;

/** How long a worker may take to close its files. */
const CLOSE_MS = 5000;

interface Task extends Waiting {
  id: number;
  slot: BatchSlot;
  resolve(sample: Sample): void;
  reject(error: unknown): void;
}

interface Member {
  thread: Worker;
  exited: Promise<void>;
  /** In the order in which they were sent. */
  busy: Map<number, Task>;
}

/** `numWorkers` threads, started with the first read. They keep the process alive only while they read. */
export function workerPool(source: FrameSource, numWorkers: number, spec: WorkerSpec): Reader {
  const line = createLine<Task>(numWorkers);
  let members: Member[] = [];
  let begun: Promise<void> | undefined;
  let failure: unknown;
  let closing = false;
  let scheduled = false;
  let nextId = 0;

  const fail = (error: unknown): void => {
    failure ??= error;
    const lost = [...members.flatMap((m) => [...m.busy.values()]), ...line.clear()];
    for (const member of members) member.busy.clear();
    for (const task of lost) task.reject(failure);
  };

  const start = (at: number, data: unknown): Member => {
    const thread = startThread(at, { module: spec.module, data });
    const busy: Member["busy"] = new Map();
    const died = (what: string, cause?: unknown): void => {
      const [task] = busy.values();
      const doing = task ? `while reading ${nameOf(source, task.index)}` : "while idle";
      fail(new InsulaError("loader/worker", `worker ${at} ended ${doing}: ${what}`, { cause }));
    };
    thread.on("message", (reply: WorkerReply) => {
      if (reply.id === undefined) return fail(fromWire(reply.error));
      const task = busy.get(reply.id);
      busy.delete(reply.id);
      if (busy.size === 0) thread.unref();
      if ("sample" in reply) task?.resolve(reply.sample);
      else task?.reject(fromWire(reply.error));
      schedule();
    });
    thread.on("messageerror", (error) => died("a sample that cannot be passed on", error));
    thread.on("error", (error) => died(String((error as Error)?.message ?? error), error));
    const exited = new Promise<void>((resolve) => {
      thread.once("exit", (code) => {
        if (!closing) died(`exit code ${code}`);
        resolve();
      });
    });
    thread.unref();
    return { thread, exited, busy };
  };

  const assign = (): void => {
    scheduled = false;
    for (let free = true; free; ) {
      free = false;
      for (const [at, { thread, busy }] of members.entries()) {
        const task = busy.size < DEPTH ? line.next(at) : undefined;
        if (!task) continue;
        const { id, index, slot } = task;
        busy.set(id, task);
        thread.ref();
        thread.postMessage({ id, index, slot } satisfies WorkerRequest);
        free = true;
      }
    }
  };

  const begin = async (): Promise<void> => {
    try {
      const data: unknown = typeof spec.data === "function" ? await spec.data() : spec.data;
      if (closing) return;
      members = Array.from({ length: numWorkers }, (_, at) => start(at, data));
      schedule();
    } catch (error) {
      fail(error);
    }
  };

  /** Assign when everything that is asked for now has been asked for: else the first to be free takes all. */
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(assign);
  };

  return {
    read(index, slot) {
      if (failure !== undefined) return Promise.reject(failure);
      return new Promise((resolve, reject) => {
        const episode = episodeKey(source, index);
        line.push({ id: nextId++, index, slot, episode, resolve, reject });
        begun ??= begin();
        schedule();
      });
    },
    async close() {
      closing = true;
      fail(new InsulaError("loader/closed", "the loader was closed"));
      await begun;
      await Promise.all(members.map(end));
    },
  };
}

function startThread(at: number, { module, data }: WorkerSpec): Worker {
  try {
    return new Worker(new URL("./worker-main.js", import.meta.url), {
      name: `insula-loader-${at}`,
      workerData: { module: String(module), data },
    });
  } catch (cause) {
    const why = (cause as Error).message;
    throw new InsulaError("loader/workers", `worker.data: expected plain data: ${why}`, { cause });
  }
}

/** Let a worker close its files; end it when it does not. */
async function end({ thread, exited }: Member): Promise<void> {
  thread.postMessage({ close: true } satisfies WorkerRequest);
  const late = setTimeout(() => thread.terminate(), CLOSE_MS);
  await exited;
  clearTimeout(late);
}

function nameOf(source: FrameSource, index: number): string {
  const place = source.locate?.(index);
  return place ? `episode ${place.episode}, frame ${place.frame} of ${place.dataset}` : `frame ${index}`;
}
