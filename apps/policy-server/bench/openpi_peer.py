"""The peer of bench serve that is openpi's own: its PyTorch port of pi0.5 at a checkpoint's sizes, its policy with its DROID
transforms, its WebSocket server: python openpi_peer.py CONFIG.json CAMERAS THREADS

Random weights and a stand-in for PaliGemma's tokenizer (bytes, padded as openpi pads): only the time counts. Needs openpi's
sources and their requirements in the path.
"""
import json
import os
import socket
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/lib"))

import numpy as np
import torch
from openpi_sizes import openpi_as, openpi_config

model, threads = json.load(open(sys.argv[1]))["model"], int(sys.argv[3])
if threads:
    torch.set_num_threads(threads)
openpi_as(model)

from openpi import transforms
from openpi.models.model import ModelType
from openpi.models_pytorch.pi0_pytorch import PI0Pytorch
from openpi.policies import droid_policy
from openpi.policies.policy import Policy
from openpi.serving.websocket_policy_server import WebsocketPolicyServer


class ByteTokenizer:
    def tokenize(self, prompt, state=None):
        text = f"Task: {prompt}, State: {' '.join(map(str, np.digitize(state, np.linspace(-1, 1, 257)[:-1]) - 1))};\nAction: "
        ids = np.frombuffer(text.encode()[: model["maxTokenLen"]], np.uint8).astype(np.int64)
        pad = (0, model["maxTokenLen"] - len(ids))
        return np.pad(ids, pad), np.pad(np.ones(len(ids), bool), pad)


side = model["imageSize"]
policy = Policy(
    PI0Pytorch(openpi_config(model)),
    transforms=[
        droid_policy.DroidInputs(model_type=ModelType.PI05),
        transforms.ResizeImages(side, side),
        transforms.TokenizePrompt(ByteTokenizer(), discrete_state_input=True),
        transforms.PadStatesAndActions(model["actionDim"]),
    ],
    output_transforms=[droid_policy.DroidOutputs()],
    sample_kwargs={"num_steps": 10},
    is_pytorch=True,
)
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
print(f"openpi, torch {torch.__version__}, {torch.get_num_threads()} threads, ws://127.0.0.1:{port}", flush=True)
WebsocketPolicyServer(policy, host="127.0.0.1", port=port).serve_forever()
