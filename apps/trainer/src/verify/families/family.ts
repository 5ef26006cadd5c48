/** @file A family of goldens: which files it knows, and how to compute what they hold. */
import type { Unit } from "../unit.js";

export interface Family {
  name: string;
  /** Whether its units are named by their file rather than by their directory. */
  perFile?: boolean;
  /**
   * The files of a directory that the family knows; several sets when it knows several independent ones.
   * @param dir path in the golden folder
   * @param files names of its files
   */
  claim(dir: string, files: readonly string[]): readonly (readonly string[])[];
  /** Compute, and put every value. Missing inputs throw `verify/missing-input`. */
  verify(unit: Unit): Promise<void>;
}

/** Claims the named files, when one of `needed` is there. */
export function claimFiles(names: readonly string[], needed: readonly string[] = names): Family["claim"] {
  return (_, files) => {
    if (!files.some((f) => needed.includes(f))) return [];
    return [files.filter((f) => names.includes(f))];
  };
}
