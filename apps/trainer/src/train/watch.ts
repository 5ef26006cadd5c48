/** @file Everything that looks at a run while it trains: the live line, the configuration for TensorBoard, histograms, validation. */
import type { Artifact, ExecutionOptions, TrainSession } from "@insula/ki-model";
import type { RunConfig } from "../configs/types.js";
import { gradientHistograms } from "../metrics/gradient-histograms.js";
import type { LiveLine } from "../metrics/live-output.js";
import { createPace } from "../metrics/pace.js";
import { recordSession } from "../metrics/sessions.js";
import { nextRates, type Rates } from "../metrics/status-line.js";
import type { RunDir } from "../run-dir.js";
import { isDue } from "../validation/hook.js";
import { openValidation } from "../validation/open.js";
import type { ValidationData } from "../validation/validation.js";
import type { StepHook } from "./parts.js";

export interface WatchOptions {
  data: ValidationData;
  session: TrainSession;
  artifact: Artifact;
  /** Where the session runs. */
  execution: ExecutionOptions;
  run: RunDir;
  log(line: string): void;
  signal?: AbortSignal;
  live?: LiveLine | undefined;
}

export interface Watch {
  hooks: readonly StepHook[];
  /** What the live line says of what is no step and no hook, `saving`; undefined when that is over. */
  activity(what: string | undefined): void;
  /** Before the session is. */
  release(): Promise<void>;
}

/** Open what the configuration asks for. */
export async function openWatch({ live, artifact, run, ...options }: WatchOptions): Promise<Watch> {
  const { config } = options.data;
  const { histogramInterval } = config;
  const { resumeStep = 0 } = run;
  await recordSession(run.dir, { step: resumeStep, device: config.device }).catch((error: Error) =>
    options.log(`warning: sessions.jsonl could not be written: ${error.message}`),
  );
  const validation = openValidation({ ...options, runDir: run.dir });
  const status = live ? liveStatus(live, config, resumeStep) : undefined;
  const hooks: StepHook[] = [configText(config)];
  if (status) hooks.push(status.step);
  if (histogramInterval !== null) {
    hooks.push(gradientHistograms(histogramInterval, artifact.manifest.params));
  }
  if (validation) hooks.push(status ? status.validating(validation.hook) : validation.hook);
  return {
    hooks,
    activity: (what) => status?.show(what),
    async release() {
      live?.clear();
      await validation?.release();
    },
  };
}

/** The configuration as TensorBoard's text, once per start. */
function configText(config: RunConfig): StepHook {
  let written = false;
  return async ({ row, recorder }) => {
    if (written) return;
    written = true;
    const json = JSON.stringify(config, null, 2);
    recorder.events.write(row.step, row.time, { texts: { config: `\`\`\`json\n${json}\n\`\`\`` } });
  };
}

/** Keeps the live line up to date. */
function liveStatus(
  live: LiveLine,
  config: RunConfig,
  resumeStep: number,
): { step: StepHook; validating(hook: StepHook): StepHook; show(activity?: string): void } {
  const { numTrainSteps: totalSteps } = config;
  let rates: Rates | undefined;
  let step = resumeStep;
  const pace = createPace(() => performance.now());
  let wallMs: number | undefined;
  const show = (activity?: string) =>
    live.update({
      step,
      totalSteps,
      ...(rates ? { rates } : {}),
      ...(wallMs === undefined ? {} : { wallMs }),
      ...(activity ? { activity } : {}),
    });
  show("preparing the first step");
  return {
    show,
    async step({ row }) {
      rates = nextRates(rates, row);
      wallMs = pace(row);
      step = row.step;
      show();
    },
    validating: (hook) => async (done) => {
      if (isDue(config, done.row.step)) show("validating");
      await hook(done);
      show();
    },
  };
}
