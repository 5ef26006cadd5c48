"""A column of [rows, 8] floats in Parquet as two LeRobot v3.0 datasets: it alone, and as DROID's state and actions.

    python norm_stats_sets.py big.parquet OUT      # OUT/column, OUT/droid; pyarrow
"""
import json, os, sys
import pyarrow as pa, pyarrow.parquet as pq

EPISODE = 1000
source, out = sys.argv[1:]
file = pq.ParquetFile(source)
rows = file.metadata.num_rows


def feature(n):
    return {"dtype": "float32", "shape": [n], "names": None}


def metadata(name, features):
    folder = os.path.join(out, name)
    for part in ["data/chunk-000", "meta/episodes/chunk-000"]:
        os.makedirs(os.path.join(folder, part), exist_ok=True)
    starts = range(0, rows, EPISODE)
    n = len(starts)
    episodes = {
        "episode_index": list(range(n)),
        "tasks": [["work"]] * n,
        "length": [min(EPISODE, rows - s) for s in starts],
        "data/chunk_index": [0] * n,
        "data/file_index": [0] * n,
    }
    pq.write_table(pa.table(episodes), os.path.join(folder, "meta/episodes/chunk-000/file-000.parquet"))
    tasks = pa.table({"task_index": [0], "__index_level_0__": ["work"]})
    pq.write_table(tasks, os.path.join(folder, "meta/tasks.parquet"))
    info = {"codebase_version": "v3.0", "fps": 15, "total_episodes": n, "total_frames": rows, "features": features}
    with open(os.path.join(folder, "meta/info.json"), "w") as text:
        json.dump(info, text)
    return os.path.join(folder, "data/chunk-000/file-000.parquet")


os.link(source, metadata("column", {"actions": feature(8)}))
picture = {"dtype": "image", "shape": [8, 8, 3], "names": ["height", "width", "channel"]}
to = metadata(
    "droid",
    {
        "exterior_image_1_left": picture,
        "wrist_image_left": picture,
        "joint_position": feature(7),
        "gripper_position": feature(1),
        "actions": feature(8),
    },
)
writer = None
for batch in file.iter_batches(batch_size=100_000, columns=["actions"]):
    actions = batch.column(0)
    values = actions.flatten().to_numpy().reshape(-1, 8)
    table = pa.table(
        {
            "joint_position": pa.FixedSizeListArray.from_arrays(pa.array(values[:, 1:].ravel()), 7),
            "gripper_position": pa.array(values[:, 0]),
            "actions": actions,
        }
    )
    writer = writer or pq.ParquetWriter(to, table.schema)
    writer.write_table(table)
writer.close()
