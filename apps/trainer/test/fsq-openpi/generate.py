"""An FSQ tokenizer's checkpoint as openpi's training leaves it: orbax, one step, items `params` and `config`.

    python3 -m venv VENV && VENV/bin/pip install "jax[cpu]==0.5.3" flax==0.10.2 orbax-checkpoint==0.11.13 einops chex
    VENV/bin/python generate.py OPENPI/src/openpi/models/utils/fsq_tokenizer.py checkpoint

Takes seconds. Every tensor holds one number, its place among the names, so that the files stay small.
"""

import importlib.util
import os
import shutil
import sys

import flax
import jax
import numpy as np
import orbax.checkpoint as ocp

CONFIG = dict(embed_dim=64, data_dim=8, data_horizon=15, num_tokens=4, num_layers=1, target_codebook_size=256)


def main(module_path: str, out: str) -> None:
    spec = importlib.util.spec_from_file_location("fsq_tokenizer", module_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    actions = np.zeros((1, CONFIG["data_horizon"], CONFIG["data_dim"]), np.float32)
    params = module.FsqAttentionTokenizer(**CONFIG).init(jax.random.key(0), actions)["params"]
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    constant = {k: np.full(flat[k].shape, i / 64, np.float32) for i, k in enumerate(sorted(flat))}
    shutil.rmtree(out, ignore_errors=True)
    handlers = {"params": ocp.StandardCheckpointHandler(), "config": ocp.JsonCheckpointHandler()}
    with ocp.CheckpointManager(os.path.abspath(out), item_handlers=handlers) as manager:
        items = dict(
            config=ocp.args.JsonSave(CONFIG),
            params=ocp.args.StandardSave(flax.traverse_util.unflatten_dict(constant, sep="/")),
        )
        manager.save(2000, args=ocp.args.Composite(**items))


main(*sys.argv[1:])
