/** @file One row of an episode table, whose every field may be wrong. */
import { InsulaError } from "@insula/model-types";

/** Reads the fields of an episode; errors are `dataset/episodes` and name table, episode and field. */
export interface EpisodeRow {
  /** A count from `least` on. */
  whole(field: string, least?: number): number;
  /** Seconds, not negative. */
  seconds(field: string): number;
  tasks(): string[];
}

/** The row `fields` of the table `where`. */
export function episodeRow(where: string, fields: Readonly<Record<string, unknown>>): EpisodeRow {
  const number = (field: string): number => {
    const value = fields[field];
    return typeof value === "number" || typeof value === "bigint" ? Number(value) : Number.NaN;
  };
  const fail = (field: string, expected: string): never => {
    const of = field === "episode_index" ? "" : `episode ${number("episode_index")}: `;
    throw new InsulaError(
      "dataset/episodes",
      `${where}: ${of}${field}: expected ${expected}, found ${String(fields[field])}`,
    );
  };
  return {
    whole(field, least = 0) {
      const value = number(field);
      return Number.isSafeInteger(value) && value >= least
        ? value
        : fail(field, `a whole number from ${least}`);
    },
    seconds(field) {
      const value = number(field);
      return Number.isFinite(value) && value >= 0 ? value : fail(field, "seconds");
    },
    tasks() {
      const value = fields["tasks"] ?? [];
      const list: unknown[] = Array.isArray(value) ? value : [value];
      return list.every((task) => typeof task === "string") ? list : fail("tasks", "a list of texts");
    },
  };
}

/** Like `map`, but a row for which `make` throws an InsulaError is told to `report` and left out. */
export function mapRows<T, R>(
  rows: readonly T[],
  make: (row: T) => R,
  report: (problem: InsulaError) => void,
): R[] {
  return rows.flatMap((row) => {
    try {
      return [make(row)];
    } catch (error) {
      if (!(error instanceof InsulaError)) throw error;
      report(error);
      return [];
    }
  });
}
