/**
 * @file The policy that is served now, and how it is replaced: new requests go to the new one, the old one is
 * released when its last request has been answered.
 */
import type { Served } from "./options.js";

/** One loaded policy. */
export interface Slot extends Readonly<Served> {
  /** Keep it open until `done` is called. */
  use(): () => void;
  /** Release it when nobody uses it any more; resolves then. */
  retire(): Promise<void>;
}

/** A slot around what was loaded. */
export function createSlot(served: Served): Slot {
  let users = 0;
  let retired: (() => void) | undefined;
  return {
    ...served,
    use() {
      users += 1;
      let over = false;
      return () => {
        if (over) return;
        over = true;
        users -= 1;
        if (users === 0) retired?.();
      };
    },
    async retire() {
      if (users > 0) await new Promise<void>((resolve) => (retired = resolve));
      await served.policy.release();
    },
  };
}
