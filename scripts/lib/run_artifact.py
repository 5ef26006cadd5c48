"""python run_artifact.py DIR: DIR/training_model.onnx on DIR/example.safetensors; prints losses as JSON."""

import json
import math
import sys

import numpy as np
import onnxruntime as ort
from safetensors.numpy import load_file

folder = sys.argv[1]
session = ort.InferenceSession(f"{folder}/training_model.onnx", providers=["CPUExecutionProvider"])
feeds = load_file(f"{folder}/example.safetensors")
names = [output.name for output in session.get_outputs()]
values = dict(zip(names, session.run(names, feeds)))

found = {name: float(values[name]) for name in ("total", "action_loss", "fast_loss")}
gradients = [value.astype(np.float64) for name, value in values.items() if name.startswith("grad/")]
found["grad_norm"] = math.sqrt(sum(float((g * g).sum()) for g in gradients))
print(json.dumps({**found, "gradients": len(gradients), "onnxruntime": ort.__version__}))
