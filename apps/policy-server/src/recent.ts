/** @file What the status page shows: the last latencies, and the last answered observation with its actions. */
import { isNdArray, type NdArray, type Sample } from "@insula/model-types";
import { flatten } from "@insula/transforms";

const KEPT = 240;
const MAX_PLOTTED = 64;

export interface Recent {
  record(observation: Sample, result: Sample, ms: number): void;
  latencies(): readonly number[];
  /** Requests answered. */
  answered(): number;
  /** Names of the last observation's cameras. */
  cameras(): string[];
  /** `[h, w, 3]` uint8. */
  camera(name: string): NdArray | undefined;
  /** `[horizon][dim]` */
  actions(): number[][];
}

export function createRecent(): Recent {
  const latencies: number[] = [];
  let answered = 0;
  let images = new Map<string, NdArray>();
  let last: unknown;
  return {
    record(observation, result, ms) {
      answered += 1;
      latencies.push(ms);
      if (latencies.length > KEPT) latencies.shift();
      images = new Map(
        Object.entries(flatten(observation)).filter(
          (entry): entry is [string, NdArray] => isNdArray(entry[1]) && isPicture(entry[1]),
        ),
      );
      last = result["actions"];
    },
    latencies: () => latencies,
    answered: () => answered,
    cameras: () => [...images.keys()],
    camera: (name) => images.get(name),
    actions: () => (isNdArray(last) && last.shape.length === 2 ? rows(last) : []),
  };
}

const isPicture = ({ data, shape }: NdArray): boolean =>
  data instanceof Uint8Array && shape.length === 3 && shape[2] === 3;

function rows({ data, shape }: NdArray): number[][] {
  const [h, d] = shape as [number, number];
  return Array.from({ length: h }, (_, t) =>
    Array.from({ length: Math.min(d, MAX_PLOTTED) }, (_, k) => Number(data[t * d + k])),
  );
}
