/** @file One problem of a dataset: where it is, and what. */
import type { InsulaError } from "@insula/model-types";

/** Something wrong in a dataset. */
export interface Problem {
  /** Stable, `area/problem`; the code of the error that reading would throw, where it would. */
  readonly code: string;
  /** Relative to the dataset. */
  readonly file: string;
  /** `episode_index`. */
  readonly episode?: number;
  /** Row of the episode: its `frame_index`, from 0. */
  readonly row?: number;
  readonly message: string;
}

/** `file: episode E, row R: message`. */
export function problemLine({ file, episode, row, message }: Problem): string {
  const where = [episode === undefined ? "" : `episode ${episode}`, row === undefined ? "" : `row ${row}`];
  const place = where.filter(Boolean).join(", ");
  return `${file}: ${place === "" ? "" : `${place}: `}${message}`;
}

/** The problem that an error tells; its message begins with the file, or else the problem is in `file`. */
export function problemOf(error: InsulaError, root: string, file: string): Problem {
  const inRoot = error.message.startsWith(`${root}/`) || error.message.startsWith(`${root}: `);
  const text = inRoot ? error.message.slice(root.length + 1).trimStart() : error.message;
  const [, named, rest] =
    (error.message.startsWith(`${root}/`) && /^([^:]+(?::\d+)?): (.*)$/s.exec(text)) || [];
  return { code: error.code, file: named ?? file, message: rest ?? text };
}
