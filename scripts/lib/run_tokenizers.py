"""python run_tokenizers.py JOB.json: FAST with scipy and HF tokenizers, as the published processor does it; prints JSON."""

import json
import os
import sys

import numpy as np
import tokenizers
from huggingface_hub import hf_hub_download
from scipy.fft import dct, idct
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

with open(sys.argv[1], encoding="utf8") as file:
    job = json.load(file)
chunks = np.array(job["chunks"]).reshape(-1, *job["shape"])
seen, unseen = chunks[: job["seen"]], chunks[job["seen"] :]


def text(quantized, min_token):
    return "".join(map(chr, np.maximum(quantized.flatten() - min_token, 0).astype(int)))


def quantize(chunk, scale):
    return np.around(dct(chunk, axis=0, norm="ortho") * scale)


def decode(bpe, ids, scale, min_token):
    """Zeros for a wrong count, as upstream."""
    q = np.array([ord(c) for c in bpe.decode(ids)]) + min_token
    q = q.reshape(job["shape"]) if q.size == np.prod(job["shape"]) else np.zeros(job["shape"])
    return idct(q / scale, axis=0, norm="ortho").flatten().tolist()


folders = {}
for name, folder in job["folders"].items():
    bpe = Tokenizer.from_file(f"{folder}/tokenizer.json")
    with open(f"{folder}/processor_config.json", encoding="utf8") as file:
        config = json.load(file)
    scale, low = config["scale"], config["min_token"]
    ids = [bpe.encode(text(quantize(c, scale), low), add_special_tokens=False).ids for c in unseen]
    folders[name] = {"ids": ids, "decoded": [decode(bpe, i, scale, low) for i in ids]}

# UniversalActionProcessor.fit.
quantized = [quantize(c, 10) for c in seen]
low, high = int(min(q.min() for q in quantized)), int(max(q.max() for q in quantized))
bpe = Tokenizer(models.BPE())
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=1024,
    min_frequency=2,
    show_progress=False,
    special_tokens=[],
    initial_alphabet=[chr(i) for i in range(high - low + 1)],
    max_token_length=10000,
)
bpe.train_from_iterator([text(q, low) for q in quantized], trainer=trainer)
os.makedirs(job["trained"])
bpe.save(f"{job['trained']}/tokenizer.json")
with open(f"{job['trained']}/processor_config.json", "w", encoding="utf8") as file:
    json.dump({"scale": 10, "min_token": low, "vocab_size": 1024}, file)
trained = [bpe.encode(text(quantize(c, 10), low), add_special_tokens=False).ids for c in unseen]

cached = hf_hub_download("insula/fast", "tokenizer.json", cache_dir=job["cache"], local_files_only=True)
with open(cached, encoding="utf8") as file:
    hub_file = file.read()
print(json.dumps({"tokenizers": tokenizers.__version__, "folders": folders, "trained": trained, "hub_file": hub_file}))
