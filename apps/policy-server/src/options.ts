/** @file What a policy server is made of and what it may be told. */
import type { Policy } from "@insula/policy";
import type { Logger } from "pino";
import type { Message } from "./codec/message.js";

/** A policy and what clients are told about it when they connect. */
export interface Served {
  policy: Policy;
  /** First message of every connection: numbers become Python floats, bigints ints. */
  metadata?: { readonly [key: string]: Message };
}

/** A server's parts and bounds. Times in milliseconds. */
export interface PolicyServerOptions {
  /** Open the policy: at the start, and again at every reload. */
  load(): Promise<Served>;
  /** Default `0.0.0.0`, as openpi. */
  host?: string;
  /** Default 8000; 0 takes a free one. */
  port?: number;
  /** What clients must send as `Authorization: Api-Key …` or `Bearer …`; default: nothing. */
  token?: string;
  /** PEM texts; given, the server speaks wss and https only. */
  tls?: { cert: string | Buffer; key: string | Buffer };
  /** Requests that may wait for the model; one more is answered `server/busy`. Default 32. */
  maxQueue?: number;
  /** Time from a request's arrival to its answer; then it is answered `server/deadline`. Default 10 000. */
  deadlineMs?: number;
  /** How long the first request of a batch waits for others, when the policy takes several. Default 2. */
  batchWaitMs?: number;
  /** Connections at once; one more is refused with 503. Default 64. */
  maxClients?: number;
  /** Bytes of one message; more closes the connection with 1009. Default 64 MiB. */
  maxMessageBytes?: number;
  /** How long a client may take to read an answer before it is cut off. Default 10 000. */
  sendTimeoutMs?: number;
  /** Time between pings; who has not answered one when the next is due is cut off. Default 20 000. */
  heartbeatMs?: number;
  /** How long `close` waits for answers under way. Default 10 000. */
  drainMs?: number;
  /** Default: JSON lines of level `info` on stderr. */
  log?: Logger;
}

/** Every bound, filled. */
export type Limits = Required<Omit<PolicyServerOptions, "load" | "host" | "port" | "token" | "tls" | "log">>;

const DEFAULTS: Limits = {
  maxQueue: 32,
  deadlineMs: 10_000,
  batchWaitMs: 2,
  maxClients: 64,
  maxMessageBytes: 64 * 1024 * 1024,
  sendTimeoutMs: 10_000,
  heartbeatMs: 20_000,
  drainMs: 10_000,
};

/** The bounds that `options` set, and the defaults of the others. */
export function limitsOf(options: PolicyServerOptions): Limits {
  const limits = { ...DEFAULTS };
  for (const key of Object.keys(DEFAULTS) as (keyof Limits)[]) limits[key] = options[key] ?? DEFAULTS[key];
  return limits;
}
