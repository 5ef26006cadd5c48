/**
 * @file Adapters into weights, streamed: what is held is a piece of one weight, the same rows of its A, and the B of
 * the layers that these rows are of.
 */
import { type Adapter, findAdapters, matrixOf, mergeRows } from "@insula/ki-model";
import { type ModelConfig, sizeOf, withoutLora } from "@insula/model-types";
import { openTensors, type TensorFiles, writeShardedSafetensors } from "@insula/safetensors";
import { checkFile } from "./check-file.js";
import { fileParams } from "./file-params.js";
import { CHUNK_ELEMENTS } from "./source.js";

/** Reads elements of a parameter file by path. */
export interface ElementReader {
  /** Elements `begin` to `end` (exclusive) of a parameter in row-major order. */
  read(path: string, begin: number, end: number): Promise<Float32Array<ArrayBuffer>>;
}

/** The parameters of the model without adapters, from a float32 file of the model with them. */
export function mergedReader(file: TensorFiles, config: ModelConfig): ElementReader {
  const adapters = findAdapters(config);
  const floats = async (path: string, begin: number, end: number) =>
    (await file.readElements(path, begin, end)).data as Float32Array<ArrayBuffer>;
  return {
    async read(path, begin, end) {
      const adapter = adapters.get(path);
      if (!adapter || begin === end) return floats(path, begin, end);
      const { shape } = file.tensors.get(path)!;
      const [perMatrix, columns] = [shape.at(-2)!, shape.at(-1)!];
      // Whole rows around the elements.
      const [first, last] = [Math.floor(begin / columns), Math.ceil(end / columns)];
      const data = await floats(path, first * columns, last * columns);
      const a = await floats(adapter.a, first * adapter.rank, last * adapter.rank);
      const heads = adapter.sumsHeads ? shape.at(-3)! : 1;
      const b = await readMatrices(floats, adapter, { first, last, perMatrix, columns, heads });
      mergeRows({ data, first, columns, perMatrix }, adapter, a, b);
      return data.subarray(begin - first * columns, end - first * columns);
    },
  };
}

/** The matrices of B that some rows of the weight meet; whole layers where their heads are summed. */
async function readMatrices(
  floats: ElementReader["read"],
  { b, rank }: Adapter,
  rows: { first: number; last: number; perMatrix: number; columns: number; heads: number },
): Promise<(index: number) => ArrayLike<number>> {
  const { first, last, perMatrix, columns, heads } = rows;
  const size = rank * columns;
  const step = perMatrix * heads;
  const [from, to] = [Math.floor(first / step) * heads, Math.ceil(last / step) * heads];
  const matrix = matrixOf(await floats(b, from * size, to * size), size, heads);
  return (index) => matrix(index - from);
}

/** The elements of a whole parameter, in chunks. */
export async function* readChunks(
  reader: ElementReader,
  path: string,
  count: number,
): AsyncGenerator<Float32Array> {
  for (let at = 0; at < count; at += CHUNK_ELEMENTS)
    yield await reader.read(path, at, Math.min(count, at + CHUNK_ELEMENTS));
}

/**
 * Write the parameter file of the same model without adapters (`withoutLora(config)`).
 * @param file a parameter file of `config`
 * @returns the paths of the weights that adapters went into
 * @throws InsulaError `weights/shape` or `weights/missing-tensor` when the file is not of a model of `config`; `out` is
 *   then as it was.
 */
export async function mergeLoraFile(file: string, config: ModelConfig, out: string): Promise<string[]> {
  await checkFile(file, config);
  const source = await openTensors(file);
  try {
    const reader = mergedReader(source, config);
    const tensors = fileParams(withoutLora(config)).map(({ path, stacked: shape }) => ({
      name: path,
      dtype: "F32" as const,
      shape,
      chunks: () => readChunks(reader, path, sizeOf(shape)),
    }));
    await writeShardedSafetensors(out, tensors, { metadata: { format: "np" } });
    return [...findAdapters(config).keys()];
  } finally {
    await source.close();
  }
}
