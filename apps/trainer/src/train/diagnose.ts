/** @file What first went wrong in a step that is skipped, as a clause for the log. */
import {
  type Artifact,
  type ExecutionOptions,
  findNonFinite,
  nonFiniteText,
  type TrainSession,
} from "@insula/ki-model";
import type { LoadedBatch, SampleOrigin, TrainParts } from "./parts.js";

export interface DiagnosisOptions {
  artifact: Pick<Artifact, "manifest">;
  session: Pick<TrainSession, "params">;
  /** Where the session runs. */
  execution: ExecutionOptions;
}

/**
 * A diagnosis for {@link TrainParts}: the batch is computed once more, sample by sample. It needs memory and may fail;
 * the run goes on.
 */
export function makeDiagnosis({
  artifact,
  session,
  execution,
}: DiagnosisOptions): NonNullable<TrainParts["diagnose"]> {
  return async ({ batch, origins }, draws, { loss_scale: lossScale }) => {
    try {
      const bad = await findNonFinite({
        ...execution,
        manifest: artifact.manifest,
        params: session.params(),
        batch,
        draws,
        ...(lossScale === undefined ? {} : { lossScale }),
      });
      if (!bad) return "every value is finite, the sum of squares that is the norm is not";
      return `first not finite: ${nonFiniteText(bad)}${samplesText(bad.samples, origins)}`;
    } catch (error) {
      return `the diagnosis failed: ${(error as Error).message}`;
    }
  };
}

/** Samples that are named; the others are counted. */
const NAMED = 3;

/** ` (sample 2: episode 7 frame 31)`. */
export function samplesText(samples: readonly number[], origins: LoadedBatch["origins"]): string {
  if (samples.length === 0) return "";
  const named = samples.slice(0, NAMED).map((sample) => `sample ${sample}${originText(origins?.[sample])}`);
  const rest = samples.length - named.length;
  return ` (${named.join(", ")}${rest > 0 ? ` and ${rest} more` : ""})`;
}

const originText = (origin: SampleOrigin | undefined): string =>
  origin ? `: episode ${origin.episode} frame ${origin.frame}` : "";
