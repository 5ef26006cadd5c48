/**
 * @file What every binding checks, whatever runs it: names, shapes and devices when it is made; feeds, the bound
 * tensors' lives and its own at each run.
 */
import { InsulaError } from "@insula/model-types";
import { checkFeeds } from "./check-feeds.js";
import { type Device, sameDevice } from "./device.js";
import { type DeviceTensor, memoryOf } from "./device-tensor.js";
import type { Binding, Session, Slot } from "./session.js";
import type { Tensor } from "./tensor.js";

/** Device tensors by the name of the input or output that they are bound to. */
export interface BoundTensors {
  inputs: Readonly<Record<string, DeviceTensor>>;
  outputs: Readonly<Record<string, DeviceTensor>>;
}

/** A runtime's part of a binding. */
export interface BindingWork {
  /** Run with feeds for the free inputs, already checked. */
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  release(): void;
}

/**
 * Check a binding and make it: one run at a time, none after release.
 * @param open the runtime's part, given the inputs and outputs that are not bound
 * @throws InsulaError `session/feed` for an unknown name, a wrong type, shape or device, or a released tensor.
 */
export function makeBinding(
  { inputs, outputs, device }: Pick<Session, "inputs" | "outputs" | "device">,
  tensors: BoundTensors,
  open: (free: { inputs: Slot[]; outputs: Slot[] }) => BindingWork,
): Binding {
  checkBound("input", inputs, tensors.inputs, device);
  checkBound("output", outputs, tensors.outputs, device);
  const free = {
    inputs: inputs.filter(({ name }) => !Object.hasOwn(tensors.inputs, name)),
    outputs: outputs.filter(({ name }) => !Object.hasOwn(tensors.outputs, name)),
  };
  const work = open(free);
  let state: "idle" | "running" | "released" = "idle";
  return {
    async run(feeds = {}) {
      if (state === "released")
        throw new InsulaError("session/released", "session: the binding was released");
      if (state === "running") throw busy("; wait for it, or make another binding");
      checkFeeds(free.inputs, feeds, tensors.inputs);
      for (const name in tensors.inputs) checkAlive("input", name, tensors.inputs[name]!);
      for (const name in tensors.outputs) checkAlive("output", name, tensors.outputs[name]!);
      state = "running";
      try {
        return await work.run(feeds);
      } finally {
        state = "idle";
      }
    },
    release() {
      if (state === "running") throw busy("; wait for it");
      if (state === "idle") work.release();
      state = "released";
    },
  };
}

function busy(remedy: string): InsulaError {
  return new InsulaError("session/busy", `session: a run of this binding is in flight${remedy}`);
}

function checkBound(
  side: "input" | "output",
  slots: readonly Slot[],
  bound: Readonly<Record<string, DeviceTensor>>,
  device: Device,
): void {
  const known = new Map(slots.map((slot) => [slot.name, slot]));
  for (const [name, tensor] of Object.entries(bound)) {
    const slot = known.get(name);
    if (!slot) throw new InsulaError("session/feed", `session: the model has no ${side} '${name}'`);
    checkAlive(side, name, tensor);
    const found = `${tensor.type}[${tensor.shape.join(", ")}]`;
    const expected = `${slot.type}[${slot.shape.join(", ")}]`;
    if (found !== expected) {
      throw new InsulaError(
        "session/feed",
        `session: ${side} '${name}': expected ${expected}, found ${found}`,
      );
    }
    if (!sameDevice(tensor.device, device)) {
      throw new InsulaError(
        "session/feed",
        `session: ${side} '${name}': expected a tensor on ${device}, found one on ${tensor.device}`,
      );
    }
  }
}

function checkAlive(side: "input" | "output", name: string, tensor: DeviceTensor): void {
  if (memoryOf(tensor).released) {
    throw new InsulaError("session/feed", `session: ${side} '${name}': the tensor was released`);
  }
}
