/**
 * @file The model behind a policy, whatever its type: a batch of observations in, one row of numbers per
 * observation out. A graph is built for one batch size, so a policy that batches opens one sampler per size.
 */
import {
  createFastSampler,
  createSampler,
  type ExecutionOptions,
  type ParamTree,
  type Sampler,
} from "@insula/ki-model";
import {
  configModelType,
  InsulaError,
  type ModelConfig,
  type NdArray,
  type Observation,
} from "@insula/model-types";

export interface EngineOptions extends ExecutionOptions {
  config: ModelConfig;
  params: ParamTree;
  imageKeys?: readonly string[];
  numSteps?: number;
  tokenBuckets?: readonly number[];
}

/** A model opened for batches of `batchSize`. */
export interface Engine {
  readonly batchSize: number;
  /** Shape of one answer: `[horizon, dim]`, or `[tokens]` of pi0_fast. */
  readonly rowShape: readonly number[];
  /** @param noise `[batchSize, horizon, dim]`; not looked at by pi0_fast. Returns `batchSize` rows. */
  run(observation: Observation, noise: NdArray<Float32Array>): Promise<Float32Array | Int32Array>;
  release(): Promise<void>;
}

/** Most tokens that pi0_fast generates (openpi `models/pi0_fast.py`). */
const MAX_TOKENS = 256;

/** Engines of which one computes at a time, by ascending batch size. */
export interface Lane {
  readonly engines: readonly Engine[];
  /** Calls under way. */
  waiting: number;
  last: Promise<unknown>;
}

/** One call at a time in a lane, so that none counts the waiting for another as its own time. */
export async function inTurn<T>(lane: Lane, work: () => Promise<T>): Promise<T> {
  lane.waiting += 1;
  const mine = lane.last.then(work);
  lane.last = mine.catch(() => {});
  try {
    return await mine;
  } finally {
    lane.waiting -= 1;
  }
}

/**
 * Open `parallel` lanes with an engine per batch size each; when one cannot be opened, none stays open.
 * @throws InsulaError `policy/batch-sizes`, `policy/parallel` for numbers that are no positive whole ones
 */
export async function openLanes(
  options: EngineOptions,
  batchSizes: readonly number[],
  parallel: number,
): Promise<readonly Lane[]> {
  if (!Number.isInteger(parallel) || parallel < 1) {
    throw new InsulaError(
      "policy/parallel",
      `policy: parallel: expected a positive whole number, found ${parallel}`,
    );
  }
  const lanes: Lane[] = [];
  try {
    for (let i = 0; i < parallel; i++) {
      lanes.push({ engines: await openEngines(options, batchSizes), waiting: 0, last: Promise.resolve() });
    }
  } catch (error) {
    for (const { engines } of lanes) await releaseEngines(engines);
    throw error;
  }
  return lanes;
}

/** Close them, one after the other. */
export async function releaseEngines(engines: readonly Engine[]): Promise<void> {
  for (const engine of engines) await engine.release();
}

async function openEngines(
  options: EngineOptions,
  batchSizes: readonly number[],
): Promise<readonly Engine[]> {
  if (batchSizes.length === 0 || batchSizes.some((b) => !Number.isInteger(b) || b < 1)) {
    throw new InsulaError(
      "policy/batch-sizes",
      `policy: batchSizes: expected positive whole numbers, found [${batchSizes.join(", ")}]`,
    );
  }
  const open = configModelType(options.config) === "pi0_fast" ? openTokens : openFlow;
  const engines: Engine[] = [];
  try {
    for (const size of [...new Set(batchSizes)].sort((a, b) => a - b)) {
      engines.push(await open(options, size));
    }
  } catch (error) {
    await releaseEngines(engines);
    throw error;
  }
  return engines;
}

async function openFlow(options: EngineOptions, batchSize: number): Promise<Engine> {
  const { numSteps = 10, tokenBuckets = defaultBuckets(options), ...rest } = options;
  const { actionHorizon, actionDim } = options.config;
  const sampler: Sampler = await createSampler({ ...rest, batchSize, tokenBuckets });
  return {
    batchSize,
    rowShape: [actionHorizon, actionDim],
    run: async (observation, noise) => (await sampler.sample(observation, noise, { numSteps })).data,
    release: () => sampler.release(),
  };
}

/** On the CPU a quarter and half of the text buffer: most prompts are short. On a GPU each would have an arena of its own. */
function defaultBuckets({ config: { maxTokenLen }, device = "cpu" }: EngineOptions): readonly number[] {
  return device === "cpu" && maxTokenLen >= 64
    ? [Math.ceil(maxTokenLen / 4), Math.ceil(maxTokenLen / 2)]
    : [];
}

async function openTokens(options: EngineOptions, batchSize: number): Promise<Engine> {
  const { numSteps: _, tokenBuckets: _b, ...rest } = options;
  const sampler = await createFastSampler({ ...rest, batchSize, maxDecodingSteps: MAX_TOKENS });
  return {
    batchSize,
    rowShape: [MAX_TOKENS],
    run: (observation) => sampler.sample(observation),
    release: () => sampler.release(),
  };
}
