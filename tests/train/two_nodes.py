"""A Ray cluster of two nodes with addresses of their own, one of which dies in mid-step.

Run in a process of its own: python -m tests.train.two_nodes FOLDER. Prints rank 0's result.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

ADDRESSES = ("127.0.0.2", "127.0.0.3")
STEPS = 6
DIES_IN = 3


def main(folder: Path) -> None:
    """Train on both nodes, end one in a step, and go on with the other."""
    os.environ.pop("RAY_ADDRESS", None)
    import ray
    from ray.cluster_utils import Cluster

    from tests.train.stand_in import train_worker
    from truelead.config import TrainConfig
    from truelead.train.environment import prepare_driver
    from truelead.train.launch import launch

    prepare_driver()
    memory = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, **memory},
    )
    nodes = [
        cluster.add_node(num_cpus=1, node_ip_address=address, **memory) for address in ADDRESSES
    ]
    os.environ["RAY_ADDRESS"] = cluster.address
    # Until the cluster knows that the node is gone, workers are waited for in vain: on a crowded
    # machine more than once.
    train = TrainConfig(
        workers=2,
        min_workers=1,
        zero_stage=2,
        checkpoint_every=1,
        resize_seconds=600,
        max_controller_failures=10,
    )

    def end_one() -> None:
        while not (folder / "met").exists():
            time.sleep(0.05)
        cluster.remove_node(nodes[1], allow_graceful=False)

    threading.Thread(target=end_one, daemon=True).start()
    trouble = {"stick_at": DIES_IN, "marker": str(folder / "met"), "addresses": True}
    found = launch(
        train_worker,
        {"train": train, "folder": str(folder), "steps": STEPS, "trouble": trouble},
        train=train,
        folder=folder,
        title="two nodes",
        steps=STEPS,
    )
    print(json.dumps(found), flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
