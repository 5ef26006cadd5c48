/**
 * @file Bindings on the node runtime: device tensors are host tensors there, fed and written in every run.
 */
import { InsulaError } from "@insula/model-types";
import { type BoundTensors, makeBinding } from "./bind.js";
import { type DeviceTensor, memoryOf } from "./device-tensor.js";
import type { Binding, Session } from "./session.js";
import type { Tensor } from "./tensor.js";

/** Bind device tensors to a session of onnxruntime-node. */
export function bindNode(
  session: Pick<Session, "inputs" | "outputs" | "device" | "run">,
  tensors: BoundTensors,
): Binding {
  return makeBinding(session, tensors, ({ outputs }) => {
    const bound = hostTensors(tensors.inputs);
    const into = hostTensors(tensors.outputs);
    return {
      async run(feeds) {
        const results = await session.run({ ...feeds, ...bound }, { into });
        return Object.fromEntries(outputs.map(({ name }) => [name, results[name]!]));
      },
      release() {},
    };
  });
}

function hostTensors(tensors: Readonly<Record<string, DeviceTensor>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      const { host } = memoryOf(tensor);
      if (host) return [name, host];
      throw new InsulaError(
        "session/feed",
        `session: '${name}': the tensor on ${tensor.device} was made for the capi runtime; upload it for node`,
      );
    }),
  );
}
