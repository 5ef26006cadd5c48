/**
 * @file Feeds are checked here, by name, type and shape, before they reach any runtime.
 */
import { InsulaError } from "@insula/model-types";
import type { Slot } from "./session.js";
import type { Tensor } from "./tensor.js";

/**
 * @param bound names of inputs that are bound and cannot be fed
 * @throws InsulaError `session/feed` for a missing, unknown or ill-shaped feed.
 */
export function checkFeeds(
  inputs: readonly Slot[],
  feeds: Readonly<Record<string, Tensor>>,
  bound: Readonly<Record<string, unknown>> = {},
): void {
  for (const { name, type, shape } of inputs) {
    const expected = `${type}[${shape.join(", ")}]`;
    const feed = feeds[name];
    if (!feed) throw new InsulaError("session/feed", `session: input '${name}' (${expected}) was not fed`);
    if (
      feed.type !== type ||
      feed.shape.length !== shape.length ||
      feed.shape.some((d, i) => d !== shape[i])
    ) {
      throw new InsulaError(
        "session/feed",
        `session: input '${name}': expected ${expected}, found ${feed.type}[${feed.shape.join(", ")}]`,
      );
    }
  }
  if (Object.keys(feeds).length === inputs.length) return;
  const known = new Set(inputs.map((input) => input.name));
  const unknown = Object.keys(feeds).find((name) => !known.has(name));
  if (unknown === undefined) return;
  throw new InsulaError(
    "session/feed",
    Object.hasOwn(bound, unknown)
      ? `session: input '${unknown}' is bound to a device tensor; write that one instead`
      : `session: the model has no input '${unknown}'`,
  );
}
