/**
 * @file What both samplers do before they sample: check counts, open sessions, bind the parameters, and take calls
 * in turn.
 */
import { InsulaError, type ModelConfig } from "@insula/model-types";
import { createSession, type Session, tensor } from "@insula/ort-session";
import {
  type DeviceTensors,
  type ExecutionOptions,
  executionOptions,
  makeAll,
  placeTensors,
  releaseAll,
} from "../device-tensors.js";
import { toGraphParams } from "../params/layout.js";
import { paramSpecs } from "../params/spec.js";
import type { DeviceParams, ParamTree } from "../train-session.js";

/** Two sessions over the same parameters, that live and end together. */
export interface SessionPair {
  first: Session;
  second: Session;
  weights: DeviceParams;
  release(): Promise<void>;
}

/**
 * Open a session per model and place the parameters; when anything fails nothing stays open. Parameters on the device
 * are used where they lie and stay their owner's; memory inside of the graphs is shared with the owner's sessions.
 */
export async function openPair(
  firstModel: Uint8Array,
  secondModel: Uint8Array,
  {
    config,
    params,
    ...options
  }: ExecutionOptions & { config: ModelConfig; params: ParamTree | DeviceParams },
): Promise<SessionPair> {
  const lent = "byName" in params ? params : undefined;
  const graph = "byName" in params ? [] : [...toGraphParams(paramSpecs(config), params)];
  const execution = executionOptions(options);
  const sessionOptions = lent ? { ...execution, sharedArena: true } : execution;
  const weights = graph.map(([name, { data, shape }]) => [name, tensor(data, shape)] as const);
  const all = await makeAll<[Session, Session, DeviceTensors]>([
    createSession(firstModel, sessionOptions),
    createSession(secondModel, sessionOptions),
    placeTensors(weights, execution),
  ]);
  const [first, second, placed] = all;
  return { first, second, weights: lent ?? placed, release: () => releaseAll(all) };
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
