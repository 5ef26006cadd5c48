/**
 * @file ONNX Runtime's IoBinding: names tied to values, kept from run to run.
 */
import { InsulaError } from "@insula/model-types";
import type { Api, Handle } from "./api.js";

export interface IoBinding {
  /** Tie an input to a value. A value on another device than the input is copied over, now. */
  input(name: string, value: Handle): void;
  /** As `input`, with the copy on another thread. */
  inputAsync(name: string, value: Handle): Promise<void>;
  output(name: string, value: Handle): void;
  /** Run on another thread; when it is done, outputs hold their results. */
  run(): Promise<void>;
  release(): void;
}

/** @param synchronize wait for copies from and to the device: not needed on the CPU */
export function createIoBinding(api: Api, session: Handle, synchronize: boolean): IoBinding {
  const binding = api.get("CreateIoBinding", session);
  return {
    input: (name, value) => asRunError(() => api.call("BindInput", binding, name, value)),
    inputAsync: (name, value) =>
      api.callAsync("BindInput", binding, name, value).catch((cause) => {
        throw runError(cause);
      }),
    output: (name, value) => asRunError(() => api.call("BindOutput", binding, name, value)),
    async run() {
      try {
        if (synchronize) await api.callAsync("SynchronizeBoundInputs", binding);
        await api.callAsync("RunWithBinding", session, null, binding);
        if (synchronize) await api.callAsync("SynchronizeBoundOutputs", binding);
      } catch (cause) {
        throw runError(cause);
      }
    },
    release: () => api.plain("ReleaseIoBinding", binding),
  };
}

function asRunError(work: () => void): void {
  try {
    work();
  } catch (cause) {
    throw runError(cause);
  }
}

function runError(cause: unknown): InsulaError {
  return new InsulaError("session/run", `session: ${(cause as Error).message}`, { cause });
}
