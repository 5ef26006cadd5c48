/** @file Values of files in messages: short, whatever the file holds. */

const MAX_LENGTH = 60;

/** A value of parsed JSON in a few words; never throws, never long. */
export function show(value: unknown): string {
  if (typeof value === "string") {
    return value.length <= MAX_LENGTH
      ? JSON.stringify(value)
      : `${JSON.stringify(value.slice(0, MAX_LENGTH))}… (${value.length} characters)`;
  }
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
