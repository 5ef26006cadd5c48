import { bf16ToFloat32, float32ToBf16 } from "@insula/safetensors";
import { describeShared, sharedPath, sharedTensors } from "@insula/test-kit";
import { expect, test } from "vitest";
import { openOrbax } from "../src/jax/orbax.js";

const weights = (...parts: string[]) => ["golden", "weights", ...parts] as const;

describeShared("orbax checkpoints, every way orbax writes them", () => {
  const folders = [
    "puredict_ocdbt/params",
    "puredict_ocdbt_bf16/params",
    "puredict_ocdbt_sharded4/params",
    "ckptmgr_nnxstate_ocdbt/0/params",
    "puredict_ocdbt_zarr3/params",
    "puredict_plain_zarr2/params",
    "puredict_plain_zarr3/params",
    "kv_ocdbt_deep_btree",
    "kv_ocdbt_uncompressed",
    "pi0_puredict_ocdbt/params",
  ];
  test.each(folders)("%s: every parameter, bit for bit", async (folder) => {
    const model = folder.startsWith("pi0_") ? "jax_pi0" : "jax_pi05";
    const expected = sharedTensors(...weights(model, "params_flat.safetensors"));
    const source = await openOrbax(sharedPath(...weights("orbax", ...folder.split("/"))));
    expect([...source.tensors.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, { data, shape }] of expected) {
      expect(source.tensors.get(name)!.shape, name).toEqual(shape);
      const floats = data as Float32Array;
      const bits = folder.includes("bf16") ? bf16ToFloat32(float32ToBf16(floats)) : floats;
      expect(
        Buffer.from((await source.read(name)).buffer).equals(
          Buffer.from(bits.buffer, bits.byteOffset, bits.byteLength),
        ),
        name,
      ).toBe(true);
    }
  });
});
