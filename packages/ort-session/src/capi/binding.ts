/**
 * @file Persistent bindings: one IoBinding for any number of runs. Device tensors are tied once; of the feeds only
 * those that lie elsewhere than at the last run are tied again.
 */
import { InsulaError } from "@insula/model-types";
import { type BoundTensors, makeBinding } from "../bind.js";
import { parseDevice } from "../device.js";
import { type DeviceTensor, memoryOf } from "../device-tensor.js";
import type { Binding, Session } from "../session.js";
import { type Tensor, zerosTensor } from "../tensor.js";
import type { Api, Handle } from "./api.js";
import { readFromHost } from "./inspect.js";
import { createIoBinding } from "./io-binding.js";
import { valueOver } from "./values.js";

/** Bind device tensors to a native session. `session` is what it takes and gives, `handle` the native one. */
export function bindCapi(
  api: Api,
  handle: Handle,
  session: Pick<Session, "inputs" | "outputs" | "device">,
  tensors: BoundTensors,
): Binding {
  const onHost = parseDevice(session.device).type === "cpu";
  return makeBinding(session, tensors, ({ inputs, outputs }) => {
    const results: Record<string, Tensor> = {};
    /** What ends with the binding, in this order: the native one first, it still uses the values. */
    const owned: (() => void)[] = [];
    /** Bound tensors, each with the value that stands for it: the same for an input and an output. */
    const values = new Map<DeviceTensor, Handle>();
    /** The feeds of the last run. */
    const fed = new Map<string, { data: Tensor["data"]; value: Handle }>();

    const hold = (tensor: Tensor): Handle => {
      const value = valueOver(api, tensor);
      owned.push(() => api.plain("ReleaseValue", value));
      return value;
    };
    const boundValue = (name: string, tensor: DeviceTensor): Handle => {
      const known = values.get(tensor);
      if (known) return known;
      const memory = memoryOf(tensor);
      if (!memory.value && !(memory.host && onHost)) {
        throw new InsulaError(
          "session/feed",
          `session: '${name}': the tensor on ${tensor.device} was made for the node runtime; upload it for capi`,
        );
      }
      owned.push(memory.retain());
      const value = memory.value ?? hold(memory.host!);
      values.set(tensor, value);
      return value;
    };
    const release = () => {
      for (const end of owned) end();
      for (const { value } of fed.values()) api.plain("ReleaseValue", value);
    };

    const io = createIoBinding(api, handle, !onHost);
    owned.push(() => io.release());
    let copied: string[];
    try {
      for (const [name, tensor] of Object.entries(tensors.inputs)) io.input(name, boundValue(name, tensor));
      for (const [name, tensor] of Object.entries(tensors.outputs)) io.output(name, boundValue(name, tensor));
      for (const { name, type, shape } of outputs)
        io.output(name, hold((results[name] = zerosTensor(type, shape))));
      // Tensors on the device that nodes on the CPU read: binding copies them, so they are bound for every run.
      const host = onHost ? [] : readFromHost(api, handle, session.inputs);
      copied = host.filter((name) => Object.hasOwn(tensors.inputs, name));
    } catch (error) {
      release();
      throw error;
    }

    return {
      async run(feeds) {
        for (const { name } of inputs) {
          const feed = feeds[name]!;
          const last = fed.get(name);
          if (last?.data === feed.data) {
            // In host memory the value is the array itself; to a device its contents were copied.
            if (!onHost) io.input(name, last.value);
            continue;
          }
          const value = valueOver(api, feed);
          fed.set(name, { data: feed.data, value });
          if (last) api.plain("ReleaseValue", last.value);
          io.input(name, value);
        }
        for (const name of copied) io.input(name, values.get(tensors.inputs[name]!));
        await io.run();
        return { ...results };
      },
      release,
    };
  });
}
