/** @file A server on a free port, a policy whose speed a test decides, and a bare client. */
import { InsulaError, isNdArray, type Sample } from "@insula/model-types";
import type { Policy, Prepared } from "@insula/policy";
import pino from "pino";
import { WebSocket } from "ws";
import {
  createPolicyServer,
  encodeMessage,
  type PolicyServer,
  type PolicyServerOptions,
} from "../src/index.js";

/** A policy that is as slow as asked and answers with what it was shown: the server, not a model, is under test. */
export interface TestPolicy extends Policy {
  /** Sizes of the batches so far. */
  readonly batches: number[];
  readonly released: boolean;
}

export function testPolicy({ ms = 0, maxBatch = 1, maxParallel = 1, offset = 0 } = {}): TestPolicy {
  const batches: number[] = [];
  let released = false;
  const prepare = (sample: Sample): Prepared => {
    const state = sample["state"];
    if (!isNdArray(state)) throw new InsulaError("test/state", "state: expected an array");
    return { sample, noise: { data: new Float32Array(1), shape: [1] } };
  };
  const run = async (batch: readonly Prepared[]): Promise<Sample[]> => {
    if (released) throw new Error("the policy was released");
    batches.push(batch.length);
    await new Promise((resolve) => setTimeout(resolve, ms));
    return batch.map(({ sample }) => {
      const state = sample["state"] as { data: Float32Array };
      const data = Float32Array.of(state.data[0]! + offset, -1);
      return { actions: { data, shape: [1, 2] }, policy_timing: { infer_ms: ms } };
    });
  };
  return {
    maxBatch,
    maxParallel,
    prepare,
    run,
    infer: async (sample) => (await run([prepare(sample)]))[0]!,
    release: async () => void (released = true),
    batches,
    get released() {
      return released;
    },
  };
}

/** Serve `policy` on a free port of this machine. */
export function serve(policy: Policy, options: Partial<PolicyServerOptions> = {}): Promise<PolicyServer> {
  return createPolicyServer({
    load: async () => ({ policy }),
    host: "127.0.0.1",
    port: 0,
    log: pino({ level: "silent" }),
    ...options,
  });
}

/** A connected client: frames as they come. */
export interface Client {
  readonly socket: WebSocket;
  /** The next frame: bytes, or the text of an error. */
  next(): Promise<Buffer | string>;
  /** Send, then {@link next}. */
  ask(message: Uint8Array | string): Promise<Buffer | string>;
  readonly closed: Promise<{ code: number; reason: string }>;
}

/** Connect. The metadata frame is the first {@link Client.next}. */
export async function connect(url: string, headers: Record<string, string> = {}): Promise<Client> {
  const socket = new WebSocket(url, { headers, perMessageDeflate: false, rejectUnauthorized: false });
  const frames: (Buffer | string)[] = [];
  let wake: (() => void) | undefined;
  socket.on("message", (data, isBinary) => {
    frames.push(isBinary ? (data as Buffer) : String(data));
    wake?.();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on("close", (code, reason) => {
      resolve({ code, reason: String(reason) });
      wake?.();
    }),
  );
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => {});
  const next = async (): Promise<Buffer | string> => {
    for (;;) {
      const frame = frames.shift();
      if (frame !== undefined) return frame;
      if (socket.readyState === WebSocket.CLOSED) throw new Error("closed");
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const ask = (message: Uint8Array | string) => {
    socket.send(message);
    return next();
  };
  return { socket, next, ask, closed };
}

/** Connect and take the metadata. */
export async function join(url: string, headers?: Record<string, string>): Promise<Client> {
  const client = await connect(url, headers);
  await client.next();
  return client;
}

/** An observation whose answer begins with `value`. */
export const observation = (value: number): Uint8Array =>
  encodeMessage({ state: { data: Float32Array.of(value), shape: [1] }, prompt: "go" });
