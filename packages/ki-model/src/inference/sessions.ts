/**
 * @file What both samplers do before they sample: check counts, open sessions, bind the parameters, and take calls
 * in turn.
 */
import { InsulaError, type ModelConfig } from "@insula/model-types";
import { createSession, type Session, tensor } from "@insula/ort-session";
import {
  type DeviceTensors,
  type ExecutionOptions,
  makeAll,
  placeTensors,
  releaseAll,
} from "../device-tensors.js";
import { toGraphParams } from "../params/layout.js";
import { paramSpecs } from "../params/spec.js";
import type { DeviceParams, ParamTree } from "../train-session.js";

/** Two sessions that live and end together. */
export interface SessionPair {
  first: Session;
  second: Session;
  release(): Promise<void>;
}

/**
 * Open a session per model; when one cannot be opened the other does not stay. Memory inside of the graphs is shared
 * with the sessions that they take turns with: those of other text lengths, those of training.
 */
export async function openPair(
  firstModel: Uint8Array,
  secondModel: Uint8Array,
  execution: ExecutionOptions,
): Promise<SessionPair> {
  const options = { ...execution, sharedArena: true };
  const all = await makeAll<[Session, Session]>([
    createSession(firstModel, options),
    createSession(secondModel, options),
  ]);
  return { first: all[0], second: all[1], release: () => releaseAll(all) };
}

/**
 * The parameters of `config` on the device, under the names that graphs give them. Those that are there already are
 * used where they lie and stay their owner's.
 */
export async function placeParams(
  config: ModelConfig,
  params: ParamTree | DeviceParams,
  options: ExecutionOptions,
): Promise<DeviceTensors> {
  if ("byName" in params) return { byName: params.byName, release: () => undefined };
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
