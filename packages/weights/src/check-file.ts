/** @file Whether a file is the parameter file of a model. */
import { configModelType, InsulaError, type ModelConfig } from "@insula/model-types";
import { fileParams } from "./file-params.js";
import { planImport } from "./import.js";
import { openTorch } from "./torch/open.js";

/**
 * Check that `file` holds exactly the parameters of `config`, in float32.
 * @throws InsulaError `weights/format`, `weights/missing-tensor`, `weights/dtype` or `weights/shape`.
 */
export async function checkFile(file: string, config: ModelConfig): Promise<void> {
  const source = await openTorch(file);
  try {
    if (source.format !== "insula")
      throw new InsulaError("weights/format", `${file}: not a parameter file of a checkpoint`);
    // Said, not found: adapters that the configuration does not have would be lost.
    const { vlm, expert } = config;
    const model = {
      ...config,
      vlm: { ...vlm, lora: vlm.lora ?? null },
      expert: { ...expert, lora: expert.lora ?? null },
    };
    const { report } = planImport(source, { modelType: configModelType(config), model });
    const found = new Map(report.mapped.map(({ path, shape }) => [path, shape]));
    for (const spec of fileParams(config)) {
      const [expected, actual] = [spec.stacked, found.get(spec.path)];
      if (!actual) throw new InsulaError("weights/missing-tensor", `${file}: no parameter '${spec.path}'`);
      if (source.tensors.get(spec.path)!.dtype !== "F32")
        throw new InsulaError("weights/dtype", `${file}: ${spec.path}: expected F32`);
      if (expected.join() !== actual.join()) {
        throw new InsulaError(
          "weights/shape",
          `${file}: ${spec.path}: expected [${expected.join(", ")}] by the configuration, found [${actual.join(", ")}]`,
        );
      }
    }
  } finally {
    await source.close();
  }
}
