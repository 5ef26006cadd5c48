/**
 * @file The video decoder: node-av's low-level bindings to FFmpeg, an optional dependency (its FFmpeg is GPL).
 * Only `node-av/lib` is used: the high-level API needs a newer Node than this package.
 */
import { InsulaError } from "@insula/model-types";

export interface NodeAv {
  lib: typeof import("node-av/lib");
  constants: typeof import("node-av/constants");
}

const importNodeAv = async (): Promise<NodeAv> => ({
  lib: await import("node-av/lib"),
  constants: await import("node-av/constants"),
});

/** Load node-av. @throws InsulaError `dataset/no-video-decoder` saying how to install it. */
export async function loadNodeAv(load: () => Promise<NodeAv> = importNodeAv): Promise<NodeAv> {
  try {
    const av = await load();
    av.lib.Log.setLevel(av.constants.AV_LOG_QUIET); // Failures are thrown, with the file's name.
    return av;
  } catch (cause) {
    throw new InsulaError(
      "dataset/no-video-decoder",
      "this dataset stores its cameras as video, and the optional package node-av is not installed; install it (npm install node-av@6.1.1), or open the dataset with cameras: []",
      { cause },
    );
  }
}
