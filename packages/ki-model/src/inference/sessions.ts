/**
 * @file What both samplers do before they sample: check counts, open sessions, bind the parameters, and take calls
 * in turn.
 */
import { InsulaError, type ModelConfig } from "@insula/model-types";
import { createSession, type Session, type SessionOptions, tensor } from "@insula/ort-session";
import {
  type DeviceTensors,
  type ExecutionOptions,
  makeAll,
  placeTensors,
  releaseAll,
} from "../device-tensors.js";
import { toGraphParams } from "../params/layout.js";
import { paramSpecs } from "../params/spec.js";
import type { ParamTree } from "../train-session.js";

/** Two sessions that live and end together. */
export interface SessionPair {
  first: Session;
  second: Session;
  release(): Promise<void>;
}

/** Open a session per model; when one cannot be opened the other does not stay. */
export async function openPair(
  firstModel: Uint8Array,
  secondModel: Uint8Array,
  options: Pick<SessionOptions, keyof ExecutionOptions | "sharedArena">,
): Promise<SessionPair> {
  const all = await makeAll<[Session, Session]>([
    createSession(firstModel, options),
    createSession(secondModel, options),
  ]);
  return { first: all[0], second: all[1], release: () => releaseAll(all) };
}

/** Place the parameters of `config` on the device, under the names that graphs give them. */
export async function placeParams(
  config: ModelConfig,
  params: ParamTree,
  options: ExecutionOptions,
): Promise<DeviceTensors> {
  const graph = toGraphParams(paramSpecs(config), params);
  return placeTensors(
    [...graph].map(([name, { data, shape }]) => [name, tensor(data, shape)] as const),
    options,
  );
}

/** Calls wait for the ones before them: bound tensors hold one call's values at a time. */
export function inTurn(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  };
}

/** @throws InsulaError `sampler/steps` unless `value` is a positive integer. */
export function checkSteps(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new InsulaError("sampler/steps", `sampler: ${name}: expected a positive integer, found ${value}`);
  }
}
