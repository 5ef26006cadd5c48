"""The peer of bench serve: a pi0.5 model of a checkpoint's sizes in PyTorch, behind openpi's protocol, served as
openpi serves (one event loop that waits for each inference): python torch_peer.py CONFIG.json CAMERAS THREADS

Same work per request as @insula/policy-server's: the same cameras, the padded text, keys and values of the prefix
once, ten Euler steps of the expert. Random weights: only the time counts. Needs torch, numpy, msgpack, websockets.
"""
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads would be in each other's way

import asyncio
import json
import sys
import time

import msgpack
import numpy as np
import torch
import torch.nn.functional as F
import websockets.asyncio.server as ws
from torch import nn

C = json.load(open(sys.argv[1]))["model"]
CAMERAS, THREADS = int(sys.argv[2]), int(sys.argv[3])
if THREADS:
    torch.set_num_threads(THREADS)
V, E, S = C["vlm"], C["expert"], C["siglip"]
HEADS, DIM, H, D, TEXT = V["numHeads"], V["headDim"], C["actionHorizon"], C["actionDim"], C["maxTokenLen"]
PATCH, GRID = S["patchSize"], C["imageSize"] // S["patchSize"]
STEPS = 10


class Vision(nn.Module):
    def __init__(self):
        super().__init__()
        w, m = S["width"], S["mlpDim"]
        self.patch = nn.Linear(PATCH * PATCH * 3, w)
        self.pos = nn.Parameter(torch.randn(GRID * GRID, w) * 0.02)
        block = lambda: dict(
            n1=nn.LayerNorm(w), qkv=nn.Linear(w, 3 * w), o=nn.Linear(w, w), n2=nn.LayerNorm(w), a=nn.Linear(w, m), b=nn.Linear(m, w)
        )
        self.blocks = nn.ModuleList(nn.ModuleDict(block()) for _ in range(S["depth"]))
        self.norm, self.head = nn.LayerNorm(w), nn.Linear(w, V["width"])

    def forward(self, x):  # [cameras, size, size, 3]
        n = x.shape[0]
        x = x.reshape(n, GRID, PATCH, GRID, PATCH, 3).transpose(2, 3).reshape(n, GRID * GRID, -1)
        x = self.patch(x) + self.pos
        for b in self.blocks:
            q, k, v = b["qkv"](b["n1"](x)).unflatten(-1, (3, S["numHeads"], -1)).permute(2, 0, 3, 1, 4)
            x = x + b["o"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            x = x + b["b"](F.gelu(b["a"](b["n2"](x)), approximate="tanh"))
        return self.head(self.norm(x))


class Norm(nn.Module):
    """RMS norm, or adaptive: scale, shift and gate from the condition."""

    def __init__(self, w, ada):
        super().__init__()
        self.ada, self.m = ada, nn.Linear(w, 3 * w) if ada else nn.Parameter(torch.zeros(w))

    def forward(self, x, c):
        x = F.rms_norm(x, x.shape[-1:], eps=1e-6)
        if not self.ada:
            return x * (1 + self.m), 1.0
        scale, shift, gate = self.m(c)[:, None].chunk(3, -1)
        return x * (1 + scale) + shift, gate


class Layer(nn.Module):
    def __init__(self, g, ada):
        super().__init__()
        w = g["width"]
        self.n1, self.n2 = Norm(w, ada), Norm(w, ada)
        self.q, self.o = nn.Linear(w, HEADS * DIM, bias=False), nn.Linear(HEADS * DIM, w, bias=False)
        self.kv = nn.Linear(w, 2 * DIM, bias=False)
        self.gu, self.down = nn.Linear(w, 2 * g["mlpDim"], bias=False), nn.Linear(g["mlpDim"], w, bias=False)

    def forward(self, x, c, cos, sin, past, mask):
        h, gate = self.n1(x, c)
        rot = lambda t: torch.cat(
            [t[..., : DIM // 2] * cos - t[..., DIM // 2 :] * sin, t[..., DIM // 2 :] * cos + t[..., : DIM // 2] * sin], -1
        )
        q = rot(self.q(h).unflatten(-1, (HEADS, DIM)).transpose(1, 2))
        k, v = self.kv(h)[:, None].chunk(2, -1)
        k = rot(k)
        keys, values = (k, v) if past is None else (torch.cat([past[0], k], 2), torch.cat([past[1], v], 2))
        a = F.scaled_dot_product_attention(q, keys.expand(-1, HEADS, -1, -1), values.expand(-1, HEADS, -1, -1), attn_mask=mask)
        x = x + self.o(a.transpose(1, 2).flatten(2)) * gate
        y, gate = self.n2(x, c)
        up, down = self.gu(y).chunk(2, -1)
        return x + self.down(F.gelu(up, approximate="tanh") * down) * gate, (k, v)


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.vision, self.embed = Vision(), nn.Embedding(C["vocabSize"], V["width"])
        self.vlm = nn.ModuleList(Layer(V, False) for _ in range(V["depth"]))
        self.expert = nn.ModuleList(Layer(E, True) for _ in range(E["depth"]))
        w = E["width"]
        self.last = Norm(w, True)
        self.ain, self.aout, self.t1, self.t2 = nn.Linear(D, w), nn.Linear(w, D), nn.Linear(w, w), nn.Linear(w, w)
        self.freq = 10000 ** -(torch.arange(DIM // 2) / (DIM // 2))
        self.period = 2 * torch.pi / (4e-3 * 1000 ** torch.linspace(0, 1, w // 2))

    def rope(self, pos):
        angle = pos[:, None, :, None] * self.freq
        return angle.cos(), angle.sin()

    @torch.inference_mode()
    def sample(self, images, tokens, valid, x):
        seen = torch.cat([torch.ones(1, CAMERAS * GRID * GRID, dtype=torch.bool), valid], 1)
        h = torch.cat([self.vision(images).flatten(0, 1)[None], self.embed(tokens) * V["width"] ** 0.5], 1)
        cos, sin = self.rope((seen.cumsum(1) - 1).clamp(min=0))
        mask = seen[:, None, None, :].expand(1, 1, seen.shape[1], -1)
        past = []
        for layer in self.vlm:
            h, kv = layer(h, None, cos, sin, None, mask)
            past.append(kv)
        cos, sin = self.rope(seen.sum(1, keepdim=True) + torch.arange(H))
        mask = torch.cat([seen[:, None, None, :].expand(1, 1, H, -1), torch.ones(1, 1, H, H, dtype=torch.bool)], 3)
        for step in range(STEPS):
            angle = (1 - step / STEPS) * self.period[None]
            c = F.silu(self.t2(F.silu(self.t1(torch.cat([angle.sin(), angle.cos()], -1)))))
            y = self.ain(x)
            for layer, kv in zip(self.expert, past):
                y, _ = layer(y, c, cos, sin, kv, mask)
            x = x - self.aout(self.last(y, c)[0]) / STEPS
        return x


def unpack(obj):
    if b"__ndarray__" in obj:
        return np.ndarray(buffer=obj[b"data"], dtype=np.dtype(obj[b"dtype"]), shape=obj[b"shape"])
    return obj


def pack(obj):
    if isinstance(obj, np.ndarray):
        return {b"__ndarray__": True, b"data": obj.tobytes(), b"dtype": obj.dtype.str, b"shape": obj.shape}
    return obj


policy = Policy().eval()
keys = ("observation/exterior_image_1_left", "observation/wrist_image_left")[:CAMERAS]
tokens = torch.randint(1, C["vocabSize"], (1, TEXT))
valid = (torch.arange(TEXT) < TEXT // 4)[None]


def infer(obs):
    pixels = np.stack([obs[k] for k in keys]).astype(np.float32) / 255 * 2 - 1
    begin = time.monotonic()
    actions = policy.sample(torch.from_numpy(pixels), tokens, valid, torch.randn(1, H, D))[0].numpy()
    timing = {"infer_ms": (time.monotonic() - begin) * 1000}
    return {"actions": actions[:, :8].astype(np.float64), "policy_timing": timing}


async def handle(socket):
    await socket.send(msgpack.packb({}))
    async for message in socket:
        begin = time.monotonic()
        result = infer(msgpack.unpackb(message, object_hook=unpack))
        result["server_timing"] = {"infer_ms": (time.monotonic() - begin) * 1000}
        await socket.send(msgpack.packb(result, default=pack))


async def main():
    async with ws.serve(handle, "127.0.0.1", 0, compression=None, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, ws://127.0.0.1:{port}", flush=True)
        await server.serve_forever()


asyncio.run(main())
