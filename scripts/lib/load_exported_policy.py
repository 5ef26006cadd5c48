"""python load_exported_policy.py JOB.json: load exported weights with openpi's or LeRobot's own code, sample actions.

The two projects know two model sizes; the job's sizes are put in their place before anything is built. Loading, strict,
is theirs (`BaseModelConfig.load_pytorch`, `PreTrainedPolicy.from_pretrained`), and so is every layer and the sampler.
"""

import contextlib
import json
import sys
from types import SimpleNamespace

import torch
from openpi_sizes import gemma_of, openpi_as, openpi_config, shrink
from safetensors.torch import load_file, save_file

with open(sys.argv[1], encoding="utf8") as file:
    job = json.load(file)
model, inputs = job["model"], load_file(job["inputs"])
keys = model["imageKeys"]


def images():
    return {key: inputs[f"image/{key}"].permute(0, 3, 1, 2).float() / 255.0 * 2.0 - 1.0 for key in keys}


def masks():
    return {key: inputs[f"image_mask/{key}"].bool() for key in keys}


def openpi():
    from openpi.models.model import BaseModelConfig

    openpi_as(model)
    config = openpi_config(model)
    policy = BaseModelConfig.load_pytorch(None, SimpleNamespace(model=config), f"{job['folder']}/model.safetensors")
    observation = SimpleNamespace(
        images=images(),
        image_masks=masks(),
        state=inputs["state"],
        tokenized_prompt=inputs["tokens"].long(),
        tokenized_prompt_mask=inputs["token_mask"].bool(),
        token_ar_mask=None,
        token_loss_mask=None,
    )
    return policy.eval().sample_actions("cpu", observation, noise=inputs["noise"], num_steps=10)


def lerobot():
    if model["pi05"]:
        from lerobot.policies.pi05 import modeling_pi05 as module

        policy_class, state = module.PI05Policy, []
    else:
        from lerobot.policies.pi0 import modeling_pi0 as module

        policy_class, state = module.PI0Policy, [inputs["state"]]
    module.get_gemma_config = gemma_of(model)
    shrink(module, model)
    # LeRobot prints a failed load and goes on with random weights: what it said is what tells.
    policy = policy_class.from_pretrained(job["folder"], strict=True)
    loaded = load_file(f"{job['folder']}/model.safetensors")
    for name, value in policy.state_dict().items():
        if not torch.equal(value, loaded[name]):
            raise SystemExit(f"{name} was not loaded")
    return policy.eval().model.sample_actions(
        list(images().values()),
        list(masks().values()),
        inputs["tokens"].long(),
        inputs["token_mask"].bool(),
        *state,
        noise=inputs["noise"],
        num_steps=10,
    )


with torch.no_grad(), contextlib.redirect_stdout(sys.stderr):
    actions = openpi() if job["format"] == "openpi" else lerobot()
save_file({"actions": actions.float().contiguous()}, job["out"])
print(json.dumps({"torch": torch.__version__}))
