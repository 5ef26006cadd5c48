/** A policy server that openpi clients can call. */
export { type CodecLimits, DEFAULT_LIMITS } from "./codec/limits.js";
export { decodeObservation, encodeMessage, type Message } from "./codec/message.js";
export type { PolicyServerOptions, Served } from "./options.js";
export { createPolicyServer, type PolicyServer } from "./server.js";
