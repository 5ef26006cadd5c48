/**
 * @file A least-recently-used cache of byte arrays with a limit in bytes. An entry larger than the limit is
 * not kept at all.
 */

export interface ByteCache<V> {
  get(key: string): V | undefined;
  set(key: string, value: V, bytes: number): void;
  clear(): void;
  /** Bytes held now. */
  readonly bytes: number;
}

/** A cache that holds at most `limit` bytes. */
export function createByteCache<V>(limit: number): ByteCache<V> {
  const entries = new Map<string, { value: V; bytes: number }>(); // In order of last use.
  let held = 0;
  const drop = (key: string): void => {
    held -= entries.get(key)?.bytes ?? 0;
    entries.delete(key);
  };
  return {
    get(key) {
      const entry = entries.get(key);
      if (!entry) return undefined;
      entries.delete(key);
      entries.set(key, entry);
      return entry.value;
    },
    set(key, value, bytes) {
      drop(key);
      if (bytes > limit) return;
      entries.set(key, { value, bytes });
      held += bytes;
      for (const oldest of entries.keys()) {
        if (held <= limit) break;
        drop(oldest);
      }
    },
    clear() {
      entries.clear();
      held = 0;
    },
    get bytes() {
      return held;
    },
  };
}
