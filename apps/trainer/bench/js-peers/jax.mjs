/**
 * @file The layer in jax-js, on its WebAssembly backend: `jit` of `valueAndGrad` over a tree of parameters.
 */
import { Worker as NodeWorker } from "node:worker_threads";
import { D, EPSILON, HEAD_DIM, HEADS, NAMES, SHAPES, T } from "./layer.mjs";

/**
 * What jax-js expects of a browser and Node 20 lacks. It starts a worker per core where there are workers; this one
 * runs the script of a blob URL in a Node thread.
 */
function browserGlobals(threads) {
  Object.defineProperty(globalThis, "navigator", {
    value: { hardwareConcurrency: threads, userAgent: "Node" },
    configurable: true,
  });
  // Iterator helpers, which einsum uses.
  const iterator = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  iterator.map ??= function* (f) {
    for (const value of this) yield f(value);
  };
  iterator.filter ??= function* (f) {
    for (const value of this) if (f(value)) yield value;
  };
  if (threads === 1) return;
  const scripts = new Map();
  URL.createObjectURL = (blob) => {
    const url = `blob:${scripts.size}`;
    scripts.set(url, blob.text());
    return url;
  };
  URL.revokeObjectURL = (url) => scripts.delete(url);
  globalThis.Worker = class {
    #thread;
    constructor(url) {
      const prelude =
        "const { parentPort } = require('node:worker_threads'); const self = globalThis;" +
        "const postMessage = (m) => parentPort.postMessage(m);" +
        "parentPort.on('message', (data) => self.onmessage({ data }));";
      this.#thread = scripts.get(url).then((source) => {
        const thread = new NodeWorker(prelude + source, { eval: true });
        thread.on("message", (data) => this.onmessage?.({ data }));
        thread.on("error", (error) => this.onerror?.(error));
        return thread;
      });
    }
    postMessage(message) {
      this.#thread.then((thread) => thread.postMessage(message));
    }
  };
}

export async function prepare({ values, threads, load }) {
  browserGlobals(threads);
  const jax = load("@jax-js/jax");
  const { blockUntilReady, defaultDevice, init, jit, nn, numpy: np, tree, valueAndGrad } = jax;
  await init("wasm");
  defaultDevice("wasm");

  // Arrays are moved into the functions that take them; `.ref` keeps one for another use.
  const norm = (p, at, x) =>
    nn.standardize(x, -1, { epsilon: EPSILON }).mul(p[`${at}.scale`]).add(p[`${at}.bias`]);
  const linear = (p, at, x) => np.matmul(x, p[`${at}.kernel`]).add(p[`${at}.bias`]);
  const heads = (x) => x.reshape([T, HEADS, HEAD_DIM]);
  const loss = (p) => {
    const { x } = p;
    const [q, k, v] = np.split(linear(p, "qkv", norm(p, "ln1", x.ref)), 3, 1);
    const mixed = nn.dotProductAttention(heads(q), heads(k), heads(v)); // [T, HEADS, HEAD_DIM]
    const a = x.add(linear(p, "out", mixed.reshape([T, D])));
    const y = a.ref.add(linear(p, "down", nn.gelu(linear(p, "up", norm(p, "ln2", a)))));
    return np.square(y).mean();
  };
  const run = jit(valueAndGrad(loss));

  const params = Object.fromEntries(
    NAMES.map((name) => [name, np.array(values[name]).reshape(SHAPES[name])]),
  );
  let grads;
  return {
    async step() {
      if (grads) tree.dispose(grads);
      const [value, gradients] = run(tree.ref(params));
      grads = gradients;
      await blockUntilReady(gradients);
      return (await value.data())[0];
    },
    async gradients() {
      const entries = NAMES.map(async (name) => [name, await grads[name].ref.data()]);
      return Object.fromEntries(await Promise.all(entries));
    },
    release: async () => {},
  };
}
