/**
 * @file The model behind a policy, whatever its type: a batch of observations in, one row of numbers per
 * observation out. A graph is built for one batch size, so a policy that batches opens one sampler per size.
 */
import { availableParallelism } from "node:os";
import {
  createFastSampler,
  createSampler,
  type DeviceParams,
  type ExecutionOptions,
  type ParamTree,
  placeParams,
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
interface Lane {
  readonly engines: readonly Engine[];
  /** Calls under way. */
  waiting: number;
  last: Promise<unknown>;
}

/** One call at a time in a lane, so that none counts the waiting for another as its own time. */
async function inTurn<T>(lane: Lane, work: () => Promise<T>): Promise<T> {
  lane.waiting += 1;
  const mine = lane.last.then(work);
  lane.last = mine.catch(() => {});
  try {
    return await mine;
  } finally {
    lane.waiting -= 1;
  }
}

/** Where batches are computed. */
export interface Lanes {
  /** Batches at the same time, and the largest one. */
  readonly parallel: number;
  readonly maxBatch: number;
  /** Compute with the smallest engine that holds `size`: at once, or when the lane that is chosen is free. */
  run<T>(size: number, work: (engine: Engine) => Promise<T>): Promise<T>;
  /** Close everything, after the calls that were made before. */
  release(): Promise<void>;
}

/**
 * Open `parallel` lanes with an engine per batch size each, over parameters that they share. On a CPU whose cores are
 * divided among them there is one more with all cores, for whoever comes while nothing else is computed. When something
 * cannot be opened, nothing stays open.
 * @throws InsulaError `policy/batch-sizes`, `policy/parallel` for numbers that are no positive whole ones
 */
export async function openLanes(
  { params, ...options }: EngineOptions,
  batchSizes: readonly number[],
  parallel: number,
): Promise<Lanes> {
  if (!Number.isInteger(parallel) || parallel < 1) {
    throw new InsulaError(
      "policy/parallel",
      `policy: parallel: expected a positive whole number, found ${parallel}`,
    );
  }
  const divided = parallel > 1 && (options.device ?? "cpu") === "cpu" && !options.threads;
  const threads = divided ? Math.max(1, Math.floor(availableParallelism() / parallel)) : options.threads;
  const placed = await placeParams(options.config, params, options);
  const lanes: Lane[] = [];
  const open = async (given: typeof options) => {
    const lent = { ...given, params: { byName: placed.byName } };
    const lane = { engines: await openEngines(lent, batchSizes), waiting: 0, last: Promise.resolve() };
    lanes.push(lane);
    return lane;
  };
  const close = async () => {
    for (const lane of lanes) await inTurn(lane, () => releaseEngines(lane.engines));
    placed.release();
  };
  try {
    const alone = divided ? await open(options) : undefined;
    for (let i = 0; i < parallel; i++) await open(threads ? { ...options, threads } : options);
    const shared = lanes.filter((lane) => lane !== alone);
    const choose = () =>
      alone && lanes.every(({ waiting }) => waiting === 0)
        ? alone
        : shared.reduce((best, other) => (other.waiting < best.waiting ? other : best));
    return {
      parallel,
      maxBatch: shared[0]!.engines.at(-1)!.batchSize,
      run: (size, work) => {
        const lane = choose();
        return inTurn(lane, () => work(lane.engines.find(({ batchSize }) => batchSize >= size)!));
      },
      release: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Close them, one after the other. */
async function releaseEngines(engines: readonly Engine[]): Promise<void> {
  for (const engine of engines) await engine.release();
}

/** With parameters that are placed already. */
type PlacedOptions = Omit<EngineOptions, "params"> & { params: DeviceParams };

async function openEngines(
  options: PlacedOptions,
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

async function openFlow(options: PlacedOptions, batchSize: number): Promise<Engine> {
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
function defaultBuckets({ config: { maxTokenLen }, device = "cpu" }: PlacedOptions): readonly number[] {
  return device === "cpu" && maxTokenLen >= 64
    ? [Math.ceil(maxTokenLen / 4), Math.ceil(maxTokenLen / 2)]
    : [];
}

async function openTokens(options: PlacedOptions, batchSize: number): Promise<Engine> {
  const { numSteps: _, tokenBuckets: _b, ...rest } = options;
  const sampler = await createFastSampler({ ...rest, batchSize, maxDecodingSteps: MAX_TOKENS });
  return {
    batchSize,
    rowShape: [MAX_TOKENS],
    run: (observation) => sampler.sample(observation),
    release: () => sampler.release(),
  };
}
