/** @file What the doctor reports. */

/** One line of the report. `missing` parts do not stop a run by themselves; a `problem` does. */
export interface Finding {
  part: string;
  state: "ok" | "missing" | "problem";
  detail: string;
  /** What mends it: a command, or a sentence where there is none. */
  fix?: string;
}

/** What a look at the machine depends on; the process's own by default. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  /** Where `/proc`, `/sys` and `/dev` lie. */
  root: string;
}
