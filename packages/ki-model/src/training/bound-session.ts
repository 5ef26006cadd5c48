/**
 * @file A session of the training artifact with its parameters bound: a run takes the batch alone.
 */
import {
  type Binding,
  createSession,
  type DeviceTensor,
  type Session,
  type SessionOptions,
} from "@insula/ort-session";

/** A session and the one binding that its runs go through. */
export interface BoundSession {
  session: Session;
  run: Binding["run"];
  release(): Promise<void>;
}

/** Open a session and bind what `tensors` says of its inputs and outputs. */
export async function openBound(
  model: Uint8Array,
  options: SessionOptions,
  tensors: (session: Session) => {
    inputs: Record<string, DeviceTensor>;
    outputs: Record<string, DeviceTensor>;
  },
): Promise<BoundSession> {
  const session = await createSession(model, options);
  try {
    const binding = session.bind(tensors(session));
    return { session, run: binding.run, release: () => session.release() };
  } catch (error) {
    await session.release();
    throw error;
  }
}
