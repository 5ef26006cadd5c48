/** @file The body of a loader's worker thread: opens the source that it is told to, answers one request after the other. */
import { parentPort, workerData } from "node:worker_threads";
import { movableBuffers, toWire, type WorkerReply, type WorkerRequest } from "./messages.js";
import type { OpenWorkerSource, WorkerSource } from "./worker-pool.js";

const port = parentPort!;
const { module, data } = workerData as { module: string; data: never };

const reply = (message: WorkerReply, moved: ArrayBuffer[] = []): void => port.postMessage(message, moved);

const opened: Promise<WorkerSource | undefined> = open().catch((error: unknown) => {
  reply({ id: undefined, error: toWire(error) });
  return undefined;
});

async function open(): Promise<WorkerSource> {
  const { openWorkerSource } = (await import(module)) as { openWorkerSource?: OpenWorkerSource };
  if (!openWorkerSource) throw new TypeError(`${module}: exports no openWorkerSource(data)`);
  return openWorkerSource(data);
}

type ReadRequest = Extract<WorkerRequest, { id: number }>;

async function answer(source: WorkerSource, { id, index, slot }: ReadRequest): Promise<void> {
  try {
    const sample = await source.sample(index, slot);
    reply({ id, sample }, movableBuffers(sample));
  } catch (error) {
    reply({ id, error: toWire(error) });
  }
}

// One at a time: when the thread dies, the oldest request is the one that it was at.
let last: Promise<void> = Promise.resolve();
port.on("message", (request: WorkerRequest) => {
  last = last.then(async () => {
    const source = await opened;
    if ("close" in request) {
      await source?.close();
      port.close();
    } else if (source) await answer(source, request);
  });
});
