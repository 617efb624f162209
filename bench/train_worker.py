"""Workers of a training benchmark as plain processes of torch.distributed, or under Ray Train.

python -m bench.train_worker ARGUMENTS-as-JSON is one worker; `spawn` starts several of them on this
machine over gloo. Every worker runs the loop of a stage (`Trainer`, `QuestionTask`, in-process
feed); what moves its gradients is DeepSpeed's engine, or PyTorch's DistributedDataParallel.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from bench.train_setting import Memory, Setting, build, optimization, plan_of
from truelead.config import TrainConfig
from truelead.train.environment import prepare_worker
from truelead.train.loop import LoopConfig, Trainer
from truelead.train.metrics import peak_memory_bytes
from truelead.train.optimizer import Optimization, build_optimizer
from truelead.train.question_task import QuestionTask

REPOSITORY = Path(__file__).resolve().parent.parent
_POLL_SECONDS = 0.2


class PlainEngine:
    """What the loop asks of an engine, by PyTorch alone: DistributedDataParallel and AdamW."""

    device = torch.device("cpu")

    def __init__(self, model: nn.Module, train: TrainConfig, chosen: Optimization) -> None:
        self._optimizer = build_optimizer(model, chosen)
        self._chosen = chosen
        self._peaks = [group["lr"] for group in self._optimizer.param_groups]
        self._clipping = train.gradient_clipping
        self._model = nn.parallel.DistributedDataParallel(model)
        self.learning_rate = self.gradient_norm = 0.0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._model(*arguments, **named)

    def expect(self, *, last: bool) -> None:
        assert last

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def update(self, step: int) -> bool:
        parameters = [p for p in self._model.parameters() if p.requires_grad]
        self.gradient_norm = float(nn.utils.clip_grad_norm_(parameters, self._clipping))
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * self._chosen.factor(step)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return True


def train(arguments: dict[str, Any]) -> dict[str, Any]:
    """One worker's training; the process group must exist.

    Args:
        arguments: `setting`, `steps`, `train` (fields of `TrainConfig`), `plain` (without
            DeepSpeed), and `cap_bytes` (of memory that the training may add to the process's).

    Returns:
        losses; wall and CPU seconds of each step; bytes of memory before and at the peak.
    """
    setting, steps = Setting(**arguments["setting"]), arguments["steps"]
    config = TrainConfig(**arguments["train"])
    prepare_worker(1)
    import deepspeed  # noqa: F401  (its import belongs to the start, not to the training)

    before = peak_memory_bytes()
    if arguments.get("cap_bytes"):
        limit = _private_bytes() + arguments["cap_bytes"]
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    built = build(setting)
    if arguments.get("plain"):
        engine: Any = PlainEngine(built.model, config, optimization(steps))
    else:
        from truelead.train.engine import Engine

        engine = Engine(built.model, config, optimization(steps))
    task = QuestionTask(
        plan_of(setting),
        Memory(built.features_NPD),
        built.processor,
        steps=steps,
        rank=dist.get_rank(),
        workers=dist.get_world_size(),
        in_process=True,
    )
    trainer = Trainer(engine, task, LoopConfig(steps, 10**9, 10, 0))
    losses, wall, cpu = [], [], []
    for batch in trainer.batch_generator():
        start = time.perf_counter(), time.process_time()
        losses.append(trainer.train_step(batch)["loss"])
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    parameters = sum(getattr(p, "ds_numel", p.numel()) for p in built.model.parameters())
    return {
        "losses": losses,
        "wall": wall,
        "cpu": cpu,
        "memory_before": before,
        "memory_peak": peak_memory_bytes(),
        "parameters": parameters,
    }


def spawn(workers: int, arguments: dict[str, Any], timeout: float = 900) -> dict[str, Any]:
    """What rank 0 returns; `{"error": its last line}` where a worker failed."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(workers),
        "DS_ACCELERATOR": "cpu",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{REPOSITORY / 'platform'}{os.pathsep}{REPOSITORY}",
    }
    command = [sys.executable, "-W", "ignore", "-m", "bench.train_worker", json.dumps(arguments)]
    running = [
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(workers)
    ]
    until = time.monotonic() + timeout
    try:
        while any(one.poll() is None for one in running):
            failed = [one for one in running if one.poll() not in (None, 0)]
            if failed or time.monotonic() > until:
                break
            time.sleep(_POLL_SECONDS)
    finally:
        for one in running:
            if one.poll() is None:
                one.kill()
    told = [one.communicate() for one in running]
    for one, (_, errors) in zip(running, told, strict=True):
        if one.returncode > 0:
            lines = [line for line in errors.splitlines() if "Error" in line or "alloc" in line]
            return {"error": (lines or ["no message"])[-1][:300]}
    if any(one.returncode for one in running):
        return {"error": "killed"}
    result: dict[str, Any] = json.loads(told[0][0].splitlines()[-1])
    return result


def _private_bytes() -> int:
    """Private writable memory of this process, which RLIMIT_DATA limits (Linux 4.7 and later)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise OSError("expected VmData in /proc/self/status")


if __name__ == "__main__":
    dist.init_process_group("gloo")
    print(json.dumps(train(json.loads(sys.argv[1]))))
