/** @file Predictions for a report of a run that was trained without validation: sampled now, from its latest checkpoint. */
import { openLeRobotDataset } from "@insula/lerobot-dataset";
import { InsulaError, type NdArray } from "@insula/model-types";
import { makeBackend } from "../backend.js";
import { splitEpisodes } from "../data/split.js";
import { loadPolicy } from "../infer/load-policy.js";
import { encodePng } from "../metrics/png.js";
import { heldOutFrames } from "../validation/held-out.js";
import { pictureFiles, prediction } from "../validation/predictions.js";
import { chunkFrame } from "../validation/sampled-chunk.js";
import type { RunFacts } from "./read-run.js";
import { datasetDir } from "./run-data.js";

/** Frames to sample at. */
const FRAMES = 6;

/**
 * Sample at a few held-out frames, on the CPU.
 * @throws InsulaError for a run without checkpoint, dataset or held-out episodes; of pi0_fast, for tokens that do not
 *   decode.
 */
export async function samplePredictions(
  { dir, config, checkpoints }: RunFacts,
  options: { dataset?: string; log(line: string): void },
): Promise<Pick<RunFacts, "predictions" | "pictures">> {
  const step = checkpoints.at(-1);
  if (step === undefined) throw new InsulaError("report/no-checkpoint", "there is no checkpoint yet");
  const dataset = await openLeRobotDataset(await datasetDir({ config }, options));
  try {
    const { policy, spec, repack } = await loadPolicy({
      checkpoint: dir,
      backend: makeBackend({ ...config, device: "cpu" }),
      tasks: dataset.tasks,
      numSteps: config.validation.denoiseSteps,
    });
    try {
      const heldOut = new Set(splitEpisodes(dataset.episodes, config.data.heldOut).heldOut);
      const { actionHorizon } = config.model;
      const { chunks: frames } = heldOutFrames(
        dataset.episodes.filter((e) => heldOut.has(e.index)),
        { ...config.validation, batchSize: 1, sampledChunks: FRAMES, horizon: actionHorizon },
      );
      const sampled = [];
      for (const frame of frames) {
        const sample = await dataset.sample(frame, {
          actionHorizon,
          actionKeys: [spec.actionKey],
          cameras: spec.cameraColumns,
        });
        const seen = repack(sample);
        const { actions } = await policy.infer(seen);
        sampled.push({ ...chunkFrame(sample, seen, spec), sampled: actions as NdArray });
      }
      return {
        predictions: { step, dims: spec.actionNames, chunks: sampled.map(prediction) },
        pictures: new Map(
          sampled.flatMap(pictureFiles).map(({ file, pixels }) => [file, encodePng(pixels)] as const),
        ),
      };
    } finally {
      await policy.release();
    }
  } finally {
    await dataset.close();
  }
}
