/**
 * @file What both samplers do before they sample: check counts and open sessions.
 */
import { InsulaError } from "@insula/model-types";
import { createSession, type Session, type SessionOptions } from "@insula/ort-session";

/** Sessions that live and end together. */
export interface SessionPair {
  first: Session;
  second: Session;
  release(): Promise<void>;
}

/** Open a session per model; when the second does not open, the first is released. */
export async function openPair(
  firstModel: Uint8Array,
  secondModel: Uint8Array,
  options: SessionOptions,
): Promise<SessionPair> {
  const first = await createSession(firstModel, options);
  let second: Session;
  try {
    second = await createSession(secondModel, options);
  } catch (error) {
    await first.release();
    throw error;
  }
  return {
    first,
    second,
    async release() {
      try {
        await first.release();
      } finally {
        await second.release();
      }
    },
  };
}

/** @throws InsulaError `sampler/steps` unless `value` is a positive integer. */
export function checkSteps(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new InsulaError("sampler/steps", `sampler: ${name}: expected a positive integer, found ${value}`);
  }
}
