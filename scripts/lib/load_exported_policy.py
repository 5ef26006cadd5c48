"""python load_exported_policy.py JOB.json: load exported weights with openpi's or LeRobot's own code, sample actions.

The two projects know two model sizes; the job's sizes are put in their place before anything is built. Loading, strict,
is theirs (`BaseModelConfig.load_pytorch`, `PreTrainedPolicy.from_pretrained`), and so is every layer and the sampler.
"""

import contextlib
import json
import sys
from types import SimpleNamespace

import torch
from safetensors.torch import load_file, save_file

with open(sys.argv[1], encoding="utf8") as file:
    job = json.load(file)
model, inputs = job["model"], load_file(job["inputs"])
keys = model["imageKeys"]


def gemma(variant):
    g = model["vlm"] if variant == "gemma_2b" else model["expert"]
    return SimpleNamespace(
        width=g["width"],
        depth=g["depth"],
        mlp_dim=g["mlpDim"],
        num_heads=g["numHeads"],
        num_kv_heads=g["numKvHeads"],
        head_dim=g["headDim"],
    )


def shrink(module):
    """Sizes that the modules write into Hugging Face's configurations themselves: vocabulary and vision tower."""
    vlm, expert = module.PaliGemmaForConditionalGeneration, module.GemmaForCausalLM
    siglip = model["siglip"]

    def make_vlm(config):
        config._vocab_size = config.text_config.vocab_size = model["vocabSize"]
        config.image_token_index = model["vocabSize"]
        config.hidden_size = model["vlm"]["width"]
        vision = config.vision_config
        vision.hidden_size, vision.num_hidden_layers = siglip["width"], siglip["depth"]
        vision.num_attention_heads, vision.intermediate_size = siglip["numHeads"], siglip["mlpDim"]
        vision.patch_size, vision.image_size = siglip["patchSize"], model["imageSize"]
        vision.projection_dim = model["vlm"]["width"]
        return vlm(config=config)

    def make_expert(config):
        config.vocab_size = model["vocabSize"]
        return expert(config=config)

    module.PaliGemmaForConditionalGeneration, module.GemmaForCausalLM = make_vlm, make_expert


def images():
    return {key: inputs[f"image/{key}"].permute(0, 3, 1, 2).float() / 255.0 * 2.0 - 1.0 for key in keys}


def masks():
    return {key: inputs[f"image_mask/{key}"].bool() for key in keys}


def openpi():
    import openpi.models.gemma as sizes
    from openpi.models.model import BaseModelConfig
    from openpi.models_pytorch import gemma_pytorch, preprocessing_pytorch

    sizes.get_config = gemma
    shrink(gemma_pytorch)
    side = model["imageSize"]
    preprocessing_pytorch.preprocess_observation_pytorch.__kwdefaults__["image_resolution"] = (side, side)
    config = SimpleNamespace(
        pi05=model["pi05"],
        paligemma_variant="gemma_2b",
        action_expert_variant="gemma_300m",
        dtype="float32",
        action_dim=model["actionDim"],
        action_horizon=model["actionHorizon"],
        pytorch_compile_mode=None,
    )
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
    module.get_gemma_config = gemma
    shrink(module)
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
