"""LeRobot's own library on the datasets that check-lerobot.mjs wrote: open, iterate every frame, compare.

python check_lerobot.py DIR: DIR/cases.json names the datasets, NAME.expected/ holds what each must contain. One line
per dataset, then "ok" or "FAILED".
"""

import importlib.metadata
import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def backend():
    if importlib.util.find_spec("torchcodec"):
        try:
            import torchcodec  # noqa: F401  it needs FFmpeg's libraries

            return "torchcodec"
        except (ImportError, OSError, RuntimeError):
            pass
    return "pyav"


def check(path, expected_dir, at_least=None):
    dataset = LeRobotDataset(f"insula/{path.name}", root=path, video_backend=backend())
    if at_least is not None:
        # Left by a stopped writer: whatever is there must be whole.
        assert len(dataset) >= at_least, f"{len(dataset)} frames, expected at least {at_least}"
        for i in range(len(dataset)):
            dataset[i]
        return f"{dataset.num_episodes} episodes counted, {len(dataset)} frames iterated"
    expected = json.loads((expected_dir / "expected.json").read_text())
    total, stride = expected["total"], expected["stride"]
    assert len(dataset) == total, f"{len(dataset)} frames, expected {total}"
    assert dataset.num_episodes == len(expected["starts"])
    assert dataset.fps == expected["fps"]
    features = dataset.meta.features
    columns = {
        key: np.asarray(values).reshape(total, -1) if features[key]["dtype"] != "string" else values
        for key, values in expected["columns"].items()
    }
    pixels = {
        key: np.fromfile(expected_dir / f"{key}.rgb", np.uint8).reshape(-1, *features[key]["shape"])
        for key in expected["cameras"]
    }
    episode_of = np.concatenate([[e] * (to - start) for e, (start, to) in enumerate(expected["starts"])])
    worst = 0
    for i in range(total):
        item = dataset[i]
        start = expected["starts"][episode_of[i]][0]
        assert item["task"] == expected["tasks"][i], (i, item["task"])
        assert int(item["index"]) == i and int(item["episode_index"]) == episode_of[i]
        assert int(item["frame_index"]) == i - start
        for key, values in columns.items():
            if features[key]["dtype"] == "string":
                assert item[key] == values[i], (key, i)
                continue
            found = np.asarray(item[key])
            wanted = values[i].reshape(found.shape).astype(found.dtype)
            assert np.array_equal(found, wanted), (key, i, found, wanted)
        for key, frames in pixels.items():
            height, width, _ = features[key]["shape"]
            found = item[key]
            assert found.shape == (3, height, width), (key, found.shape)
            if i % stride:
                continue
            found = np.round(found.numpy() * 255).astype(np.int16).transpose(1, 2, 0)
            worst = max(worst, int(np.abs(found - frames[i // stride]).max()))
    stats = dataset.meta.stats
    for key, values in columns.items():
        if features[key]["dtype"] == "string":
            assert key not in stats
            continue
        whole = values.astype(np.float64)
        shape = features[key]["shape"]
        for name, wanted in {
            "min": whole.min(0),
            "max": whole.max(0),
            "mean": whole.mean(0),
            "std": whole.std(0),
        }.items():
            np.testing.assert_allclose(stats[key][name], wanted.reshape(shape), rtol=1e-6, atol=1e-6, err_msg=key)
        assert stats[key]["count"][0] == total
    limit = 0
    assert worst <= limit, f"pixels differ by up to {worst}"
    # Action chunks by delta timestamps, over the end of an episode.
    steps = {"actions": [t / expected["fps"] for t in range(5)]}
    chunked = LeRobotDataset(f"insula/{path.name}", root=path, delta_timestamps=steps, video_backend=backend())
    last = expected["starts"][0][1] - 1
    item = chunked[last]
    assert item["actions_is_pad"].tolist() == [False, True, True, True, True]
    assert np.array_equal(np.asarray(item["actions"])[4], columns["actions"][last].astype(np.float32))
    compared = len(range(0, total, stride)) * len(pixels)
    return f"{dataset.num_episodes} episodes, {total} frames iterated, {compared} pictures equal"


def resume(path):
    """Record three frames more in the dataset, as LeRobot's recording does."""
    dataset = LeRobotDataset(f"insula/{path.name}", root=path)
    for frame in range(3):
        values = {}
        for key, feature in dataset.meta.features.items():
            dtype, shape = feature["dtype"], feature["shape"]
            if key in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
                continue
            if dtype == "image":
                values[key] = np.full(shape, 100 + frame, np.uint8)
            elif dtype == "string":
                values[key] = "x"
            else:
                values[key] = np.full(shape, frame + 0.5).astype(dtype)
        dataset.add_frame({**values, "task": "recorded by LeRobot"})
    dataset.save_episode()
    dataset.finalize()


def main():
    folder = Path(sys.argv[1])
    version = importlib.metadata.version
    print(f"lerobot {version('lerobot')}, datasets {version('datasets')}, {backend()} {version('av' if backend() == 'pyav' else 'torchcodec')}")
    failed = False
    for case in json.loads((folder / "cases.json").read_text()):
        begin = time.time()
        name = case["name"]
        try:
            told = check(Path(case["path"]), folder / f"{name}.expected", case.get("atLeast"))
            print(f"ok      {name:12} {told} ({time.time() - begin:.1f} s)", flush=True)
        except Exception as error:  # noqa: BLE001  every dataset is tried
            failed = True
            print(f"FAILED  {name:12} {type(error).__name__}: {str(error)[:600]}", flush=True)
    try:
        resume(folder / "to-resume")
    except Exception as error:  # noqa: BLE001
        failed = True
        print(f"FAILED  resume       {type(error).__name__}: {str(error)[:600]}")
    print("FAILED" if failed else "ok")


main()
