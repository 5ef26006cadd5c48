/**
 * @file A bounded pool of open files. `use` lends a resource for the time of one call; the least recently used
 * idle ones are closed when more than `limit` are open. A lent resource is never closed under its user.
 */

export interface Pool<T> {
  /** Run `work` with the resource of `key`, opening it if needed. */
  use<R>(key: string, work: (resource: T) => Promise<R>): Promise<R>;
  /** Close everything; resources in use are closed when their users are done. */
  close(): Promise<void>;
}

interface Entry<T> {
  opened: Promise<T>;
  users: number;
}

/** A pool that opens resources by key and keeps at most `limit` idle or busy ones (more only while all are busy). */
export function createPool<T>(options: {
  limit: number;
  open: (key: string) => Promise<T>;
  close: (resource: T) => Promise<void> | void;
}): Pool<T> {
  const entries = new Map<string, Entry<T>>(); // In order of last use.
  let closed = false;

  const trim = async (limit: number): Promise<void> => {
    for (const [key, entry] of entries) {
      if (entries.size <= limit) return;
      if (entry.users > 0) continue;
      entries.delete(key);
      await options.close(await entry.opened);
    }
  };
  return {
    async use(key, work) {
      const entry = entries.get(key) ?? { opened: options.open(key), users: 0 };
      entries.delete(key);
      entries.set(key, entry);
      entry.users++;
      let resource: T;
      try {
        resource = await entry.opened;
      } catch (error) {
        if (entries.get(key) === entry) entries.delete(key);
        throw error;
      }
      try {
        return await work(resource);
      } finally {
        entry.users--;
        await trim(closed ? 0 : options.limit);
      }
    },
    async close() {
      closed = true;
      await trim(0);
    },
  };
}

/** A function that runs the given work one at a time, in the order of the calls. */
export function oneAtATime(): <R>(work: () => Promise<R>) => Promise<R> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  };
}
