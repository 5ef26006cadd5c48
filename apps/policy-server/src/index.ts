/** A policy server that openpi clients can call. */
export {};
