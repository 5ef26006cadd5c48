/** @file Which episodes are trained on and which are held out. */
import { InsulaError } from "@insula/model-types";

export interface Split {
  train: number[];
  heldOut: number[];
}

/**
 * The last `share` of the episodes is held out, at least one when `share` is above 0. The last ones rather
 * than random ones: neighbouring episodes are often of one scene, and the split can be named.
 * @throws InsulaError `data/episodes` when nothing is left to train on.
 */
export function splitEpisodes(episodes: readonly { index: number }[], share: number): Split {
  const held = share === 0 ? 0 : Math.max(1, Math.round(share * episodes.length));
  const cut = episodes.length - held;
  if (cut < 1) {
    throw new InsulaError(
      "data/episodes",
      `${episodes.length} episodes, of which ${held} are held out, leave none to train on; --set data.heldOut=0 trains on all`,
    );
  }
  const indices = episodes.map((e) => e.index);
  return { train: indices.slice(0, cut), heldOut: indices.slice(cut) };
}
