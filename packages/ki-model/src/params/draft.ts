/** @file A parameter as the layers declare it, before it is stacked. */

/** How a parameter starts (openpi's initialisers; fan-in counted on the file shape). */
export type Init =
  | { kind: "zeros" }
  | { kind: "ones" }
  | { kind: "normal"; std: number }
  | { kind: "lecun-normal"; fanIn: number }
  | { kind: "xavier-uniform"; fanIn: number; fanOut: number };

/** A parameter of one layer, before it is stacked. */
export interface Draft {
  path: string;
  /** Length of a second stacked axis. */
  parts?: number;
  fileShape: number[];
  perm?: number[];
  shape?: number[];
  init: Init;
}
