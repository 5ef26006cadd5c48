/** @file Any readable version of a dataset as v3.0; cameras as images or as videos. */
import { copyEpisodes, type EditOptions, type EditResult } from "./copy-episodes.js";
import { inNewFolder } from "./new-folder.js";
import { openSource } from "./source.js";
import { type CameraStorage, targetFeatures } from "./target-features.js";

/** What a conversion changes besides the version. */
export interface ConvertOptions extends EditOptions {
  /**
   * `image`: cameras become PNGs in the data files, videos decoded; `video`: they become mp4s, images encoded. Default:
   * `keep`, with which nothing is encoded again.
   */
  storage?: CameraStorage;
}

/**
 * Write the dataset in `source` (v2.0, v2.1 or v3.0) as v3.0 into the new folder `out`. Numbers and task indices stay.
 * Videos that stay videos are copied as files; each keeps its episodes.
 * @throws InsulaError `dataset/exists`, `dataset/missing-file`, `dataset/…` for what cannot be read or written.
 */
export async function convertLeRobotDataset(
  source: string,
  out: string,
  options: ConvertOptions = {},
): Promise<EditResult> {
  const opened = await openSource(source, options);
  try {
    const features = targetFeatures(opened.dataset.features, options);
    const { episodes } = opened.dataset;
    return await inNewFolder(out, (dir) =>
      copyEpisodes(dir, [{ source: opened, episodes }], features, options),
    );
  } finally {
    await opened.dataset.close();
  }
}
