"""Expected values of the FSQ tokenizer, from openpi's own flax module.

    python3 -m venv VENV && VENV/bin/pip install "jax[cpu]==0.5.3" flax==0.10.2 einops chex
    VENV/bin/python generate.py OPENPI/src/openpi/models/utils/fsq_tokenizer.py fixtures.json

Takes seconds. Weights are not stored: both sides make them from their names, as `weights` here and in `../fsq.test.ts`.
"""

import importlib.util
import json
import sys
import zlib

import flax
import jax
import jax.numpy as jnp
import numpy as np

CASES = {
    "two heads, two layers": dict(
        embed_dim=128, data_dim=8, data_horizon=15, num_tokens=6, num_layers=2, target_codebook_size=2**10
    ),
    "causal, bounded, odd width of the MLP": dict(
        embed_dim=64, data_dim=3, data_horizon=8, num_tokens=4, num_layers=1, target_codebook_size=2**8,
        causal=True, mlp_ratio=1.7, bound=0.5,
    ),
    "causal, more tokens than steps": dict(
        embed_dim=64, data_dim=2, data_horizon=3, num_tokens=9, num_layers=2, target_codebook_size=2**12, causal=True
    ),
}


def uniform(seed: int, count: int) -> np.ndarray:
    """Numbers in [-1, 1) that 32-bit integer arithmetic gives anywhere."""
    h = np.arange(count, dtype=np.uint32) ^ np.uint32(seed)
    h = h * np.uint32(0x9E3779B1)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x85EBCA77)
    h = h ^ (h >> np.uint32(13))
    return h.astype(np.float64) / 2**31 - 1


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Of size 1/sqrt(inputs) for kernels; scales about 1; nothing is 0, so that nothing can be left out."""
    u = uniform(zlib.crc32(name.encode()), int(np.prod(shape))).reshape(shape)
    if name.endswith("kernel"):
        inputs = np.prod(shape[:-1]) if name.endswith("out/kernel") else shape[0]
        # Below the saturation of the code's tanh.
        size = 0.4 if "proj_down" in name else 2
        return (u * size / np.sqrt(inputs)).astype(np.float32)
    if name.endswith("scale"):
        return (1 + 0.5 * u).astype(np.float32)
    return u.astype(np.float32)


def main(module_path: str, out: str) -> None:
    spec = importlib.util.spec_from_file_location("fsq_tokenizer", module_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    jax.config.update("jax_default_matmul_precision", "highest")
    fixtures = {}
    for case, config in CASES.items():
        tokenizer = module.FsqAttentionTokenizer(**config)
        shape = (5, config["data_horizon"], config["data_dim"])
        steps = uniform(7, int(np.prod(shape))).reshape(shape)
        actions = (0.6 * np.cumsum(steps, axis=1) / np.sqrt(shape[1])).astype(np.float32)
        init = tokenizer.init(jax.random.key(0), actions[:1])["params"]
        flat = flax.traverse_util.flatten_dict(init, sep="/")
        params = {name: weights(name, x.shape) for name, x in flat.items()}
        variables = {"params": flax.traverse_util.unflatten_dict(params, sep="/")}
        ids, z = tokenizer.apply(variables, actions, method=tokenizer.tokenize)
        # Every id in its turn, whatever the encoder makes.
        other = (np.arange(ids.size).reshape(ids.shape) * 37) % config["target_codebook_size"]
        decode = lambda tokens: tokenizer.apply(variables, jnp.asarray(tokens), method=tokenizer.detokenize)
        fixtures[case] = {
            "config": config,
            "shapes": {name: list(x.shape) for name, x in sorted(params.items())},
            "actions": actions.tolist(),
            "z": np.asarray(z).tolist(),
            "ids": np.asarray(ids).tolist(),
            "decoded": np.asarray(decode(ids)).tolist(),
            "other": {"ids": other.tolist(), "decoded": np.asarray(decode(other)).tolist()},
        }
        print(case, "distinct ids:", len(set(np.asarray(ids).ravel().tolist())))
    def rounded(x):
        """Nine digits hold a float32."""
        if isinstance(x, dict):
            return {k: rounded(v) for k, v in x.items()}
        if isinstance(x, list):
            return [rounded(v) for v in x]
        return float(f"{x:.9g}") if isinstance(x, float) else x

    with open(out, "w") as f:
        json.dump(rounded(fixtures), f, separators=(",", ":"))
        f.write("\n")


main(*sys.argv[1:])
