"""Model sizes that openpi and LeRobot do not know: put in the place of the two that they do, before anything is built."""

from types import SimpleNamespace


def gemma_of(model):
    """`get_config` for this model's stacks."""

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

    return gemma


def shrink(module, model):
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


def openpi_config(model):
    """What `PI0Pytorch` is built from, once `openpi_as(model)` was called."""
    return SimpleNamespace(
        pi05=model["pi05"],
        paligemma_variant="gemma_2b",
        action_expert_variant="gemma_300m",
        dtype="float32",
        action_dim=model["actionDim"],
        action_horizon=model["actionHorizon"],
        pytorch_compile_mode=None,
    )


def openpi_as(model):
    """Give openpi's PyTorch port the sizes of `model`."""
    import openpi.models.gemma as sizes
    from openpi.models_pytorch import gemma_pytorch, preprocessing_pytorch

    sizes.get_config = gemma_of(model)
    shrink(gemma_pytorch, model)
    side = model["imageSize"]
    preprocessing_pytorch.preprocess_observation_pytorch.__kwdefaults__["image_resolution"] = (side, side)
