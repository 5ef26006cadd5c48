/**
 * @file The layer in Insula: one ONNX graph with its gradients, run by ONNX Runtime. Parameters and gradients are
 * typed arrays that stay where they are from run to run, as in training.
 */
import {
  add,
  attend,
  createGraph,
  geluTanh,
  grad,
  input,
  layerNorm,
  matmul,
  meanAll,
  mul,
  reshape,
  serialize,
  split,
  transpose,
} from "@insula/onnx-grad";
import { createSession, tensor, zerosTensor } from "@insula/ort-session";
import { D, EPSILON, HEAD_DIM, HEADS, NAMES, SHAPES, T } from "./layer.mjs";

function buildModel() {
  const graph = createGraph();
  const p = Object.fromEntries(NAMES.map((name) => [name, input(graph, name, "float32", SHAPES[name])]));
  const norm = (at, x) => layerNorm(x, p[`${at}.scale`], p[`${at}.bias`], EPSILON);
  const linear = (at, x) => add(matmul(x, p[`${at}.kernel`]), p[`${at}.bias`]);
  const heads = (x) => transpose(reshape(x, [T, HEADS, HEAD_DIM]), [1, 0, 2]); // [HEADS, T, HEAD_DIM]

  const [q, k, v] = split(linear("qkv", norm("ln1", p.x)), [D, D, D], 1);
  const mixed = attend(mul(heads(q), HEAD_DIM ** -0.5), heads(k), heads(v));
  const a = add(p.x, linear("out", reshape(transpose(mixed, [1, 0, 2]), [T, D])));
  const y = add(a, linear("down", geluTanh(linear("up", norm("ln2", a)))));
  const loss = meanAll(mul(y, y));

  const grads = grad(loss, Object.values(p));
  return serialize(graph, new Map([["loss", loss], ...NAMES.map((name, i) => [`d_${name}`, grads[i]])]));
}

/** @param profilePrefix write ONNX Runtime's operator profile with this file prefix */
export async function prepare({ values, threads, profilePrefix }) {
  const session = await createSession(buildModel().bytes, { threads, profilePrefix });
  const feeds = Object.fromEntries(NAMES.map((name) => [name, tensor(values[name], SHAPES[name])]));
  const into = { loss: zerosTensor("float32", []) };
  for (const name of NAMES) into[`d_${name}`] = zerosTensor("float32", SHAPES[name]);
  return {
    async step() {
      await session.run(feeds, { into });
      return into.loss.data[0];
    },
    gradients: async () => Object.fromEntries(NAMES.map((name) => [name, into[`d_${name}`].data])),
    release: () => session.release(),
  };
}
