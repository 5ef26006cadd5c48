"""Call a policy server with the real openpi-client: python call_policy_server.py PORT TOKEN. Prints JSON."""
import json
import sys
import threading
import urllib.request
from importlib.metadata import version

import numpy as np
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]


def observation(k, shape=(224, 224, 3)):
    """Numbers that JavaScript computes as well; whole ones, so that no library's rounding shows."""
    image = lambda step: ((np.arange(np.prod(shape), dtype=np.int64) * step + k) % 256).astype(np.uint8).reshape(shape)
    return {
        "observation/exterior_image_1_left": image(7),
        "observation/wrist_image_left": image(11),
        "observation/joint_position": np.array([(k + i) % 5 / 8 for i in range(7)]),
        "observation/gripper_position": np.array([k % 2 / 2]),
        "prompt": f"do task {k}",
    }


def noise(k, shape):
    n = int(np.prod(shape))
    return ((np.arange(n) * 37 + k) % 101 / 50 - 1).astype(np.float32).reshape(shape)


def connect():
    return WebsocketClientPolicy("127.0.0.1", PORT, api_key=TOKEN)


first = connect()
metadata = first.get_server_metadata()
drawn = [first.infer(observation(k)) for k in range(3)]
timing = [r["server_timing"] | {"model_ms": r["policy_timing"]["infer_ms"]} for r in drawn]
shape = (metadata["action_horizon"], metadata["action_dim"])

given = first.infer({**observation(1), "noise": noise(1, shape)})["actions"].tolist()
# A camera of another size, resized by the server.
wide = first.infer({**observation(2, (180, 320, 3)), "noise": noise(2, shape)})["actions"].tolist()

clients = {}


def work(c):
    policy = connect()
    clients[c] = [
        policy.infer({**observation(10 * c + i), "noise": noise(10 * c + i, shape)})["actions"].tolist() for i in range(6)
    ]


threads = [threading.Thread(target=work, args=(c,)) for c in (1, 2)]
[t.start() for t in threads]
[t.join() for t in threads]

# One request per chunk; the broker hands out a row per step.
broker = ActionChunkBroker(first, action_horizon=4)
steps = [broker.infer({**observation(i // 4), "noise": noise(i // 4, shape)})["actions"].tolist() for i in range(8)]

errors = {}
broken = connect()
bad = observation(0)
del bad["observation/joint_position"]
for name in ("error", "after"):
    try:
        broken.infer(bad)
    except Exception as error:  # RuntimeError first, then the closed connection
        errors[name] = f"{type(error).__name__}: {error}"
try:
    WebsocketClientPolicy("127.0.0.1", PORT, api_key="wrong")
except Exception as error:
    errors["token"] = f"{type(error).__name__}: {error}"

with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz") as response:
    health = [response.status, response.read().decode()]

print(
    json.dumps(
        {
            "versions": {p: version(p) for p in ("openpi-client", "websockets", "msgpack", "numpy")},
            "metadata": metadata,
            "dtype": str(drawn[0]["actions"].dtype),
            "drawn": [r["actions"].tolist() for r in drawn],
            "timing": timing,
            "given": given,
            "wide": wide,
            "clients": clients,
            "broker": steps,
            "errors": errors,
            "health": health,
        }
    )
)
