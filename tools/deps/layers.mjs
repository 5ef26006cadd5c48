/**
 * @file Who may import whom, and the dependency-cruiser rules that follow from it. A package that is not in
 * the table fails the check: put it there.
 */

/** Package → the packages of ours that its `src` may import. */
export const LAYERS = {
  "model-types": [],
  safetensors: ["model-types"],
  // Files of repositories, whatever they hold.
  "hub-cache": ["model-types"],
  "fast-tokenizer": ["model-types", "hub-cache"],
  transforms: ["model-types", "fast-tokenizer"],
  "droid-policy": ["model-types", "fast-tokenizer", "transforms"],
  "libero-policy": ["model-types", "transforms"],
  "aloha-policy": ["model-types", "transforms"],
  // Episodes and frames; of models it knows nothing.
  "lerobot-dataset": ["model-types", "hub-cache"],
  // Knows nothing of ours: of use to anyone who differentiates an ONNX graph.
  "onnx-grad": [],
  "ort-session": ["model-types"],
  "ki-model": ["model-types", "safetensors", "onnx-grad", "ort-session"],
  "sample-data": ["model-types", "fast-tokenizer", "lerobot-dataset"],
  // Other projects' checkpoints, and ours.
  weights: ["model-types", "safetensors", "ki-model"],
  policy: ["model-types", "transforms", "ki-model"],
};

/** These run in a browser: `node:` only in `src/node.ts` and `src/node/`, the `./node` entry. */
export const BROWSER = [
  "model-types",
  "fast-tokenizer",
  "transforms",
  "droid-policy",
  "libero-policy",
  "aloha-policy",
];

const nodeEntry = `^packages/(${BROWSER.join("|")})/src/node(/|\\.ts$)`;

/** The layer of one package. */
function layerRule(name) {
  const allowed = [name, ...LAYERS[name]].join("|");
  return {
    name: `layer ${name}`,
    comment: `src of ${name} may import of ours: ${LAYERS[name].join(", ") || "nothing"}`,
    severity: "error",
    from: { path: `^packages/${name}/src/` },
    to: { path: "^(packages|apps|tools)/", pathNot: `^packages/(${allowed})/` },
  };
}

/** The whole rule set. */
export const RULES = {
  forbidden: [
    ...Object.keys(LAYERS).map(layerRule),
    {
      name: "browser",
      comment: `${BROWSER.join(", ")}: node: modules only in src/node.ts and src/node/`,
      severity: "error",
      from: { path: `^packages/(${BROWSER.join("|")})/src/`, pathNot: nodeEntry },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "browser-entry",
      comment: "what runs in a browser reaches no ./node entry",
      severity: "error",
      from: { path: `^packages/(${BROWSER.join("|")})/src/`, pathNot: nodeEntry },
      to: { path: nodeEntry },
    },
    {
      name: "apps-on-top",
      comment:
        "apps wire packages; nothing imports an app, and apps do not import each other or the tools, but for the " +
        "server, which `insula serve` starts",
      severity: "error",
      from: { path: "^(packages|apps)/([^/]+)/src/" },
      to: { path: "^(apps|tools)/", pathNot: "^($1/$2/|apps/policy-server/)" },
    },
    {
      name: "no-cycles",
      comment: "modules form no cycle, types included",
      severity: "error",
      // Operators and their derivatives call one another: the derivative of Expand is ReduceSum, and the reverse.
      from: { pathNot: "^packages/onnx-grad/src/(ops/|broadcast\\.ts$)" },
      to: { circular: true },
    },
    {
      name: "no-deep-imports",
      comment: "another package is imported by its name, never by a path into it",
      severity: "error",
      from: { path: "^(packages|apps|tools)/([^/]+)/" },
      to: {
        path: "^(packages|apps|tools)/",
        // The tests of what test-kit depends on reach it by path: by name it would be a dependency on itself.
        pathNot: "^($1/$2|tools/test-kit)/",
        dependencyTypes: ["local"],
      },
    },
    {
      name: "resolvable",
      comment: "every import resolves, through the exports of the package that it names",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
};
