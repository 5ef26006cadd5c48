"""What TensorBoard itself reads from the event files of a folder, as JSON. Needs the package tensorboard and Pillow.

    python read_events.py DIR
"""

import io
import json
import sys

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

ALL = {"scalars": 0, "histograms": 0, "images": 0, "tensors": 0}
events = EventAccumulator(sys.argv[1], size_guidance=ALL)
events.Reload()
tags = events.Tags()


def histogram(event):
    value = event.histogram_value
    return {
        "step": event.step,
        "num": value.num,
        "min": value.min,
        "max": value.max,
        "sum": value.sum,
        "counted": sum(value.bucket),
        "ascending": list(value.bucket_limit) == sorted(set(value.bucket_limit)),
        "covers": value.bucket_limit[-1] >= value.max,
    }


def image(event):
    decoded = Image.open(io.BytesIO(event.encoded_image_string)).convert("RGB")
    return {
        "step": event.step,
        "said": [event.width, event.height],
        "decoded": list(decoded.size),
        "colors": len(decoded.getcolors(1 << 24)),
    }


def text(event):
    return {"step": event.step, "text": tensor_util.make_ndarray(event.tensor_proto)[0].decode()}


json.dump(
    {
        "scalars": {t: [[e.step, e.value] for e in events.Scalars(t)] for t in tags["scalars"]},
        "histograms": {t: [histogram(e) for e in events.Histograms(t)] for t in tags["histograms"]},
        "images": {t: [image(e) for e in events.Images(t)] for t in tags["images"]},
        "texts": {
            t: [text(e) for e in events.Tensors(t)]
            for t in tags["tensors"]
            if events.SummaryMetadata(t).plugin_data.plugin_name == "text"
        },
    },
    sys.stdout,
)
