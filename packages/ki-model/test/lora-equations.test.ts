import { makeModelConfig } from "@insula/model-types";
import { input, serialize } from "@insula/onnx-grad";
import { createSession, tensor } from "@insula/ort-session";
import { expect, test } from "vitest";
import { toGraphParams } from "../src/index.js";
import { createModelContext } from "../src/model/context.js";
import { project } from "../src/model/project.js";
import { type Einsum, findAdapter } from "../src/params/lora.js";
import { testConfig, testParams } from "./fixtures.js";

interface Tensor {
  data: ArrayLike<number>;
  shape: readonly number[];
}

/** `einsum("BTD,NDH->BTNH", x, w)` by its definition: every label a loop. */
function einsum(equation: string, x: Tensor, w: Tensor): Tensor {
  const [left, right, out] = equation.split(/,|->/) as [string, string, string];
  const size = new Map<string, number>();
  for (const [labels, { shape }] of [
    [left, x],
    [right, w],
  ] as const)
    for (const [i, label] of [...labels].entries()) size.set(label, shape[i]!);
  const labels = [...size.keys()];
  const shape = [...out].map((label) => size.get(label)!);
  const data = new Float64Array(shape.reduce((a, d) => a * d, 1));
  const at = (names: string, index: ReadonlyMap<string, number>) =>
    [...names].reduce((flat, name) => flat * size.get(name)! + index.get(name)!, 0);
  const total = labels.reduce((n, label) => n * size.get(label)!, 1);
  for (let i = 0; i < total; i++) {
    const index = new Map<string, number>();
    let rest = i;
    for (const label of labels) {
      index.set(label, rest % size.get(label)!);
      rest = Math.floor(rest / size.get(label)!);
    }
    data[at(out, index)]! += x.data[at(left, index)]! * w.data[at(right, index)]!;
  }
  return { data, shape };
}

/** openpi's equations (`models/gemma.py`) and those that `models/lora.py` makes of them for A and B. */
const EQUATIONS: [Einsum, number, string, string, string][] = [
  ["q_einsum", 2, "BTD,NDH->BTNH", "BTD,NDL->BTNL", "BTNL,NLH->BTNH"],
  ["kv_einsum", 2, "BSD,2KDH->BS2KH", "BSD,2KDL->BS2KL", "BS2KL,2KLH->BS2KH"],
  ["qkv_einsum", 4, "BSD,3KDH->BS3KH", "BSD,3KDL->BS3KL", "BS3KL,3KLH->BS3KH"],
  ["attn_vec_einsum", 2, "BTNH,NHD->BTD", "BTNH,NHL->BTL", "BTL,NLD->BTD"],
  ["gating_einsum", 2, "BTD,DM->BTM", "BTD,DL->BTL", "BTL,LM->BTM"],
  ["linear", 2, "BTM,MD->BTD", "BTM,ML->BTL", "BTL,LD->BTD"],
];

test.each(EQUATIONS)("%s with %i key heads is openpi's einsum", async (name, numKvHeads, base, down, up) => {
  const group = { rank: 3, alpha: 6 };
  const { vlm, expert, ...rest } = testConfig();
  const config = makeModelConfig({
    ...rest,
    vlm: { ...vlm, numKvHeads, lora: { attn: group, ffn: group } },
    expert: { ...expert, numKvHeads },
  });
  const [b, t] = [2, 3];
  const split = { q: [16], a: [4, 8], g: [16], l: [24], k: [16] }[name[0]!]!; // x as the equation has it
  const x = Float32Array.from({ length: b * t * split.reduce((n, d) => n * d) }, (_, i) => Math.sin(i));
  const params = testParams(config);
  const context = createModelContext(config, { batchSize: b });
  const width = split.reduce((n, d) => n * d);
  const index = 1; // layer 0's second part of gating_einsum, else layer 1
  const out = project(context, "", name, index, input(context.graph, "x", "float32", [b, t, width]));
  const session = await createSession(serialize(context.graph, new Map([["y", out]])).bytes);
  const weights = toGraphParams(context.specs, params);
  const feeds = Object.fromEntries(
    session.inputs.map(({ name: key, shape }) => [
      key,
      key === "x" ? tensor(x, [b, t, width]) : tensor(weights.get(key)!.data, shape as number[]),
    ]),
  );
  const found = await session.run(feeds);
  await session.release();

  const adapter = findAdapter(config.vlm, name, "")!;
  const slice = (path: string): Tensor => {
    const { data, shape } = params.get(path)!;
    const rest = shape.slice(name === "gating_einsum" ? 2 : 1);
    const size = rest.reduce((n, d) => n * d);
    return { data: data.subarray(index * size, (index + 1) * size), shape: rest };
  };
  const given = { data: x, shape: [b, t, ...split] };
  const plain = einsum(base, given, slice(adapter.weight)).data;
  const low = einsum(up, einsum(down, given, slice(adapter.a)), slice(adapter.b)).data;
  const expected = Float32Array.from(plain, (w, i) => w + 2 * low[i]!);
  expect(found["y"]!.data as Float32Array).toBeAllclose(expected, { rtol: 1e-6, atol: 1e-6 });
  expect(Math.max(...Array.from(low, Math.abs))).toBeGreaterThan(1e-3);
});
