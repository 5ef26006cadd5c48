/**
 * @file One client: the metadata first, then one reply per observation, in order (openpi
 * `serving/websocket_policy_server.py`).
 */
import { InsulaError, isNdArray, type NdArray, type Sample } from "@insula/model-types";
import type { Logger } from "pino";
import type { RawData, WebSocket } from "ws";
import { decodeObservation, encodeMessage, type Message } from "./codec/message.js";
import type { Metrics } from "./metrics.js";
import type { Limits } from "./options.js";
import type { Recent } from "./recent.js";
import type { Scheduler } from "./scheduler.js";

export interface ConnectionParts {
  socket: WebSocket;
  metadata: { readonly [key: string]: Message };
  scheduler: Scheduler;
  metrics: Metrics;
  recent: Recent;
  limits: Pick<Limits, "sendTimeoutMs">;
  log: Logger;
}

/** A client being served. */
export interface Connection {
  readonly socket: WebSocket;
  /** Answer what has arrived, then say goodbye; resolves when the connection is closed. */
  drain(): Promise<void>;
}

/** Messages of one client that may wait here: clients send the next one after the reply. */
const MAX_PIPELINED = 8;
const CLOSE_ERROR = [1011, "Internal server error. Traceback included in previous frame."] as const;
const CLOSE_DOWN = [1001, "The server is shutting down."] as const;
/** Time for a client to answer a goodbye, in milliseconds. */
const CLOSE_MS = 2000;
/** Transient: the client is told and may ask again on the same connection. */
const TRANSIENT: ReadonlySet<string> = new Set(["server/busy", "server/deadline"]);

/** Serve a client until either side closes. */
export function serveConnection(parts: ConnectionParts): Connection {
  const { socket, metadata, scheduler, metrics, recent, limits, log } = parts;
  const inbox: { data: RawData; isBinary: boolean; arrived: number }[] = [];
  const gone = new AbortController();
  let busy = false;
  let draining = false;
  let cycle = performance.now();
  let previous: number | undefined;

  /** Resolves when the frame has left; a client that does not read is cut off. */
  const send = (frame: Uint8Array | string): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => {
        log.warn({ bytes: socket.bufferedAmount }, "a client does not read its answers");
        socket.terminate();
      }, limits.sendTimeoutMs);
      socket.send(frame, { binary: typeof frame !== "string" }, () => {
        clearTimeout(timer);
        resolve();
      });
    });

  const answer = async (data: RawData, isBinary: boolean, arrived: number): Promise<Uint8Array> => {
    if (!isBinary) {
      throw new InsulaError("server/message", "expected a binary frame of MessagePack, found a text frame");
    }
    const { observation, noise } = splitNoise(decodeObservation(data as Buffer));
    const result = await scheduler.submit(observation, { signal: gone.signal, ...(noise ? { noise } : {}) });
    const infer_ms = performance.now() - arrived;
    metrics.requestSeconds.observe(infer_ms / 1000);
    recent.record(observation, result, infer_ms);
    const server_timing = { infer_ms, ...(previous === undefined ? {} : { prev_total_ms: previous }) };
    return encodeMessage({ ...result, server_timing });
  };

  const serve = async (): Promise<void> => {
    busy = true;
    for (let next = inbox.shift(); next && socket.readyState === socket.OPEN; next = inbox.shift()) {
      if (inbox.length < 2) socket.resume();
      try {
        await send(await answer(next.data, next.isBinary, next.arrived));
        metrics.requests.inc({ outcome: "ok" });
        previous = performance.now() - cycle;
      } catch (error) {
        await fail(error);
      }
      cycle = performance.now();
    }
    busy = false;
    if (draining) goodbye(socket, ...CLOSE_DOWN);
  };

  const fail = async (error: unknown): Promise<void> => {
    const known = error instanceof InsulaError;
    const code = known ? error.code : "server/internal";
    metrics.requests.inc({ outcome: code });
    if (known) log.info({ code }, error.message);
    else log.error(error, "a request failed");
    if (gone.signal.aborted) return;
    await send(`${code}: ${known ? error.message : "the server failed; its log says how"}`);
    if (!TRANSIENT.has(code)) goodbye(socket, ...CLOSE_ERROR);
  };

  socket.on("message", (data, isBinary) => {
    if (draining || socket.readyState !== socket.OPEN) return;
    inbox.push({ data, isBinary, arrived: performance.now() });
    if (inbox.length >= MAX_PIPELINED) goodbye(socket, 1008, "Send the next observation after the reply.");
    else if (inbox.length >= 2) socket.pause();
    if (!busy) void serve();
  });
  socket.on("close", () => {
    inbox.length = 0;
    gone.abort();
  });
  socket.on("error", (error) => log.info({ code: "server/socket" }, error.message));
  void send(encodeMessage(metadata));

  return {
    socket,
    async drain() {
      draining = true;
      if (socket.readyState === socket.CLOSED) return;
      const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
      if (!busy) goodbye(socket, ...CLOSE_DOWN);
      await closed;
    },
  };
}

/** Close, and cut off who does not close in turn. */
function goodbye(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== socket.OPEN) return;
  socket.resume(); // or the client's own close frame would not be seen
  socket.close(code, reason);
  const timer = setTimeout(() => socket.terminate(), CLOSE_MS);
  socket.once("close", () => clearTimeout(timer));
}

/** `noise`, which no robot has, is the flow's starting noise: the same observation and noise give the same actions. */
function splitNoise(sample: Sample): { observation: Sample; noise?: NdArray<Float32Array> } {
  if (!Object.hasOwn(sample, "noise")) return { observation: sample };
  const { noise, ...observation } = sample;
  if (isNdArray(noise) && noise.data instanceof Float32Array) {
    return { observation, noise: noise as NdArray<Float32Array> };
  }
  throw new InsulaError("policy/noise", "noise: expected a float32 array [horizon, dim]");
}
