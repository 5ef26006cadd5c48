/**
 * @file The layer in TensorFlow.js, on its WebAssembly backend (SIMD): `variableGrads` of a function of variables.
 *
 * That backend has a fast path for the product of two plain matrices and a slow one for transposed or batched
 * operands, and tf.matMul's own gradient takes the slow one. `tuned` keeps to the fast path: products with a
 * gradient that transposes first, and one product per head.
 */
import { D, EPSILON, HEAD_DIM, HEADS, NAMES, SHAPES, T } from "./layer.mjs";

export async function prepare({ values, load, tuned }) {
  const tf = load("@tensorflow/tfjs");
  load("@tensorflow/tfjs-backend-wasm");
  await tf.setBackend("wasm");
  tf.enableProdMode();

  const p = Object.fromEntries(
    NAMES.map((name) => [name, tf.variable(tf.tensor(values[name], SHAPES[name]))]),
  );
  const norm = (at, x) => {
    const { mean, variance } = tf.moments(x, -1, true);
    return x.sub(mean).mul(variance.add(EPSILON).rsqrt()).mul(p[`${at}.scale`]).add(p[`${at}.bias`]);
  };
  const plainProducts = tf.customGrad((a, b, save) => {
    save([a, b]);
    return {
      value: tf.matMul(a, b),
      gradFunc: (g, [x, w]) => [tf.matMul(g, tf.transpose(w)), tf.matMul(tf.transpose(x), g)],
    };
  });
  const product = tuned ? plainProducts : (a, b) => tf.matMul(a, b);
  const linear = (at, x) => product(x, p[`${at}.kernel`]).add(p[`${at}.bias`]);

  const heads = (x) => x.reshape([T, HEADS, HEAD_DIM]).transpose([1, 0, 2]); // [HEADS, T, HEAD_DIM]
  const attention = (q, k, v) => {
    const scores = tf.matMul(heads(q), heads(k), false, true);
    const mixed = tf.matMul(tf.softmax(scores), heads(v)); // [HEADS, T, HEAD_DIM]
    return mixed.transpose([1, 0, 2]).reshape([T, D]);
  };
  const attentionByHead = (...qkv) => {
    const [qs, ks, vs] = qkv.map((m) => tf.split(m, HEADS, 1)); // [T, HEAD_DIM] each
    const mixed = qs.map((q, h) => product(tf.softmax(product(q, tf.transpose(ks[h]))), vs[h]));
    return tf.concat(mixed, 1);
  };
  const attend = tuned ? attentionByHead : attention;

  const gelu = (x) =>
    x.mul(
      x
        .add(x.mul(x).mul(x).mul(0.044715))
        .mul(Math.sqrt(2 / Math.PI))
        .tanh()
        .add(1)
        .mul(0.5),
    );
  const loss = () => {
    const [q, k, v] = tf.split(linear("qkv", norm("ln1", p.x)), 3, 1);
    const a = p.x.add(linear("out", attend(q.mul(HEAD_DIM ** -0.5), k, v)));
    const y = a.add(linear("down", gelu(linear("up", norm("ln2", a)))));
    return tf.mean(y.mul(y));
  };

  let grads;
  return {
    async step() {
      if (grads) tf.dispose(grads);
      const result = tf.variableGrads(loss);
      grads = result.grads;
      const [value] = result.value.dataSync();
      result.value.dispose();
      return value;
    },
    async gradients() {
      return Object.fromEntries(NAMES.map((name) => [name, grads[p[name].name].dataSync()]));
    },
    release: async () => {},
  };
}
