/** @file The names of fields that are not all there yet: what is misspelt is said before anything is filled in. */
import { isRecord } from "./overrides.js";
import { unknownField } from "./schema.js";

/**
 * Check the names of the fields of records in `value` that `reference` has a record for.
 * @throws InsulaError `config/field` with the closest name.
 */
export function assertKnownFields(value: unknown, reference: unknown, path: readonly string[]): void {
  if (!isRecord(value) || !isRecord(reference)) return;
  for (const [key, inner] of Object.entries(value)) {
    if (!(key in reference)) throw unknownField([...path, key], Object.keys(reference));
    assertKnownFields(inner, reference[key], [...path, key]);
  }
}
