/**
 * @file Appending to a file of a run, on a disk that may be full for a while: what cannot be written is kept in memory
 * and written before anything else, as soon as there is room. Nothing is lost and nothing is written twice.
 */
import { closeSync, writeSync } from "node:fs";

export interface Appender {
  /** Append; never throws. */
  write(data: string | Uint8Array): void;
  /** Bytes that could not be written yet. */
  pending(): number;
  close(): void;
}

/**
 * Append to an open file, which the appender then owns.
 * @param file a descriptor.
 * @param onTrouble called when writing begins to fail, with the system's error code.
 */
export function appendTo(file: number, onTrouble: (code: string) => void = () => undefined): Appender {
  const waiting: Uint8Array[] = [];
  let failing = false;
  const drain = () => {
    while (waiting.length > 0) {
      const data = waiting[0]!;
      const done = writeSync(file, data);
      if (done < data.length) waiting[0] = data.subarray(done);
      else waiting.shift();
    }
  };
  return {
    write(data) {
      waiting.push(typeof data === "string" ? new TextEncoder().encode(data) : data);
      try {
        drain();
        failing = false;
      } catch (error) {
        if (!failing) onTrouble((error as NodeJS.ErrnoException).code ?? String(error));
        failing = true;
      }
    },
    pending: () => waiting.reduce((sum, data) => sum + data.length, 0),
    close() {
      try {
        drain();
      } catch {
        // said when it began
      }
      closeSync(file);
    },
  };
}
