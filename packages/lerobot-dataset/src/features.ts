/**
 * @file The feature table of a LeRobot dataset (`features` of meta/info.json): one entry per column, with
 * dtype, shape and axis names. Every dataset has the five columns of {@link DEFAULT_FEATURES} besides its own.
 */
import { InsulaError } from "@insula/model-types";

/** Dtypes of numeric columns, as LeRobot (that is, Hugging Face `datasets`) spells them. */
export type NumericDtype =
  | "bool"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "uint8"
  | "uint16"
  | "uint32"
  | "float32"
  | "float64";

/** One feature. Images and videos have shape `[height, width, channel]` (or channel first, see `names`). */
export interface FeatureSpec {
  readonly dtype: NumericDtype | "image" | "video" | "string" | (string & {});
  readonly shape: readonly number[];
  /** Axis or element names; LeRobot also writes records here, kept as they are. */
  readonly names?: readonly string[] | Readonly<Record<string, unknown>> | null;
  /** What LeRobot records of a video: codec, pixel format, fps. */
  readonly info?: Readonly<Record<string, unknown>>;
}

/** Feature name → feature, in the order of info.json: the columns of a dataset, its cameras among them. */
export type Features = Readonly<Record<string, FeatureSpec>>;

const scalar = (dtype: NumericDtype): FeatureSpec => ({ dtype, shape: [1], names: null });

/** The columns LeRobot adds to every dataset. `timestamp` is in seconds from the start of the episode. */
export const DEFAULT_FEATURES: Features = {
  timestamp: scalar("float32"),
  frame_index: scalar("int64"),
  episode_index: scalar("int64"),
  index: scalar("int64"),
  task_index: scalar("int64"),
};

const NUMERIC: ReadonlySet<string> = new Set<NumericDtype>([
  "bool",
  "int8",
  "int16",
  "int32",
  "int64",
  "uint8",
  "uint16",
  "uint32",
  "float32",
  "float64",
]);

/** Whether values of `dtype` are numbers (as opposed to pixels or text). */
export function isNumeric(dtype: string): dtype is NumericDtype {
  return NUMERIC.has(dtype);
}

/** Whether a feature is a camera: pixels in the parquet file (`image`) or in a video file (`video`). */
export function isCamera(feature: FeatureSpec): boolean {
  return feature.dtype === "image" || feature.dtype === "video";
}

/** Shape `[1]` is stored as a plain column; everything else as nested lists. */
export function isScalar(shape: readonly number[]): boolean {
  return shape.length === 0 || (shape.length === 1 && shape[0] === 1);
}

/** Height and width of a camera's frames, from `names` where they are given, else by where the channels are. */
export function imageSize(name: string, feature: FeatureSpec): { height: number; width: number } {
  const { shape, names } = feature;
  if (shape.length !== 3) {
    throw new InsulaError(
      "dataset/feature",
      `${name}: expected an image shape [height, width, 3], found [${shape.join(", ")}]`,
    );
  }
  const list = Array.isArray(names) ? (names as readonly string[]) : [];
  const channelFirst = list.length === 3 ? /^channel/.test(list[0]!) : shape[2]! > 4 && shape[0]! <= 4;
  const [height, width] = channelFirst ? [shape[1]!, shape[2]!] : [shape[0]!, shape[1]!];
  return { height, width };
}
