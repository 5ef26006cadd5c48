/**
 * @file Sessions over ONNX Runtime's C API. Inputs and outputs are bound where they lie: nothing is copied, an
 * update in place is one, and the run is on another thread, so the event loop stays free.
 */
import { InsulaError } from "@insula/model-types";
import { checkFeeds } from "../check-feeds.js";
import { parseDevice } from "../device.js";
import type { Binding, Session, SessionOptions } from "../session.js";
import { type Tensor, zerosTensor } from "../tensor.js";
import { type Handle, ortApi } from "./api.js";
import { bindCapi } from "./binding.js";
import { sessionMemory, sessionPlacement } from "./inspect.js";
import { createIoBinding } from "./io-binding.js";
import { createNativeSession } from "./native-session.js";
import { readSlots } from "./slots.js";
import { valueOver } from "./values.js";

/**
 * Create a session from a serialised model or the path of one.
 * @throws InsulaError `session/create` when the model is refused, `session/device` when the device does not load,
 *   `ort/load` when the library does not.
 */
export async function createCapiSession(
  model: Uint8Array | string,
  options: SessionOptions = {},
): Promise<Session> {
  const { device = "cpu" } = options;
  const location = parseDevice(device);
  const api = ortApi();
  const handle = await createNativeSession(api, model, options);
  let slots: Pick<Session, "inputs" | "outputs">;
  try {
    slots = { inputs: readSlots(api, handle, "Input"), outputs: readSlots(api, handle, "Output") };
  } catch (error) {
    api.plain("ReleaseSession", handle);
    throw error;
  }
  const { inputs, outputs } = slots;
  const bindings = new Set<Binding>();
  let released = false;
  const alive = () => {
    if (released) throw new InsulaError("session/released", "session: it was released");
  };

  return {
    ...slots,
    device,
    async run(feeds, { into = {}, outputs: wanted = outputs.map((o) => o.name) } = {}) {
      alive();
      checkFeeds(inputs, feeds);
      const io = createIoBinding(api, handle, location.type !== "cpu");
      const values: Handle[] = [];
      const results: Record<string, Tensor> = {};
      /** One value per memory: an output over a feed is the same value. */
      const known = new Map<Tensor["data"], Handle>();
      const ortValue = (tensor: Tensor): Handle => {
        let value = known.get(tensor.data);
        if (!value) {
          value = valueOver(api, tensor);
          values.push(value);
          known.set(tensor.data, value);
        }
        return value;
      };
      try {
        for (const { name } of inputs) io.input(name, ortValue(feeds[name]!));
        for (const name of wanted) {
          const slot = outputs.find((output) => output.name === name);
          if (!slot) throw new InsulaError("session/output", `session: the model has no output '${name}'`);
          results[name] = into[name] ?? zerosTensor(slot.type, slot.shape);
          io.output(name, ortValue(results[name]));
        }
        await io.run();
      } finally {
        io.release();
        for (const value of values) api.plain("ReleaseValue", value);
      }
      return results;
    },
    bind({ inputs: boundInputs = {}, outputs: boundOutputs = {} }) {
      alive();
      const made = bindCapi(
        api,
        handle,
        { ...slots, device },
        { inputs: boundInputs, outputs: boundOutputs },
      );
      const binding: Binding = {
        run: made.run,
        release() {
          made.release();
          bindings.delete(binding);
        },
      };
      bindings.add(binding);
      return binding;
    },
    memory() {
      alive();
      return sessionMemory(api, handle, location);
    },
    placement() {
      alive();
      return sessionPlacement(api, handle);
    },
    async release() {
      if (released) return;
      for (const binding of [...bindings]) binding.release();
      released = true;
      api.plain("ReleaseSession", handle);
    },
  };
}
