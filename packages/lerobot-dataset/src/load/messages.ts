/** @file What passes between a loader and its workers. */
import { InsulaError, type Sample } from "@insula/model-types";
import type { BatchSlot } from "./plan.js";

export type WorkerRequest = { id: number; index: number; slot: BatchSlot } | { close: true };

/** Without an id: the worker could not begin. */
export type WorkerReply =
  | { id: number; sample: Sample }
  | { id: number; error: WireError }
  | { id: undefined; error: WireError };

/** An error as plain data: structured clones lose the class and the code. */
export interface WireError {
  code?: string;
  message: string;
  stack?: string;
}

export function toWire(error: unknown): WireError {
  if (!(error instanceof Error)) return { message: String(error) };
  const { message, stack } = error;
  return {
    message,
    ...(error instanceof InsulaError && { code: error.code }),
    ...(stack !== undefined && { stack }),
  };
}

/** The error again, with the stack that it had in the worker. */
export function fromWire({ code, message, stack }: WireError): Error {
  const error = code === undefined ? new Error(message) : new InsulaError(code, message);
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** Views below this many bytes are copied: a message with a list of small buffers costs more. */
const WORTH_MOVING = 4096;

/**
 * The buffers of a sample's arrays that can be given away: those that their array fills. Checks on the way that none
 * has been given away before.
 * @throws InsulaError `loader/shared-array` naming the key.
 */
export function movableBuffers(value: unknown, path: string = "", found: ArrayBuffer[] = []): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteLength } = value;
    const whole = byteLength === buffer.byteLength && byteLength >= WORTH_MOVING;
    if (whole && buffer instanceof ArrayBuffer && !found.includes(buffer)) found.push(buffer);
    return found;
  }
  if (typeof value !== "object" || value === null) return found;
  const { data, shape } = value as { data?: unknown; shape?: unknown };
  if (ArrayBuffer.isView(data) && data.byteLength === 0 && Array.isArray(shape) && !shape.includes(0)) {
    throw new InsulaError(
      "loader/shared-array",
      `${path}: this array went out with an earlier sample; a worker's samples must not share arrays`,
    );
  }
  for (const [key, part] of Object.entries(value)) movableBuffers(part, path ? `${path}/${key}` : key, found);
  return found;
}
