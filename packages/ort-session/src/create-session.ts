/**
 * @file Choose the runtime.
 */
import { InsulaError } from "@insula/model-types";
import { createCapiSession } from "./capi/capi-session.js";
import { createNodeSession } from "./node-session.js";
import { createCached } from "./optimized-models.js";
import type { Runtime, Session, SessionOptions } from "./session.js";

/**
 * Create a session from a serialised model or the path of one.
 * With `cacheDir` the graph passes run once per model.
 * @throws InsulaError `session/device` when the device's provider does not load, `session/create` when the model
 *   is refused, `session/runtime` for an unknown runtime.
 */
export function createSession(model: Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
  const create = (options.runtime ?? defaultRuntime()) === "capi" ? createCapiSession : createNodeSession;
  const { cacheDir } = options;
  return cacheDir ? createCached(create, model, { ...options, cacheDir }) : create(model, options);
}

/** The runtime that sessions use when none is named. */
export function defaultRuntime(): Runtime {
  const wanted = process.env["INSULA_RUNTIME"];
  if (!wanted) return process.platform === "linux" ? "capi" : "node";
  if (wanted !== "node" && wanted !== "capi") {
    throw new InsulaError("session/runtime", `INSULA_RUNTIME: expected 'node' or 'capi', found '${wanted}'`);
  }
  return wanted;
}
