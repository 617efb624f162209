"""What a training is planned to cost: python deploy/costs.py [--price PER_GPU_HOUR]

Arithmetic, not a measurement: every assumption is an option, its default is named in docs/costs.md,
and the tables of that page are this program's output. Rules used: 6 FLOPs a parameter and trained
token without recomputation (2 forward, 4 backward; Kaplan et al. 2020, arXiv:2001.08361), and 16
bytes a parameter of weights, gradients and Adam's state in mixed precision (Rajbhandari et al.
2020, arXiv:1910.02054).
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, fields

ECGS = {"PTB-XL": 21_799, "MIMIC-IV-ECG": 800_035}
PARAMETERS = {"1B": 1e9, "8B": 8e9}
FLOPS_PER_PARAMETER_AND_TOKEN = 6
BYTES_PER_PARAMETER = 16


@dataclass(frozen=True)
class Assumptions:
    """What the plan rests on.

    Attributes:
        passes: over all ECGs, in the pre-training and the fine-tuning together.
        questions_per_ecg: in a pass.
        tokens_per_ecg: that stand for an ECG.
        tokens_per_question: of the question, its options and the answer.
        peak_tflops: of one GPU, in 1e12 FLOPs a second, for dense bfloat16.
        utilisation: the share of the peak that the training reaches (MFU), 0 to 1.
        gpu_gib: memory of one GPU, in GiB.
        price: of one GPU hour, in the reader's currency; None: not filled in.
    """

    passes: float = 4
    questions_per_ecg: float = 8
    tokens_per_ecg: float = 16
    tokens_per_question: float = 64
    peak_tflops: float = 989
    utilisation: float = 0.3
    gpu_gib: float = 80
    price: float | None = None


@dataclass(frozen=True)
class Plan:
    """One training: tokens, FLOPs, GPU hours, GPUs that hold its state, and its price."""

    tokens: float
    flops: float
    gpu_hours: float
    state_gib: float
    gpus_for_state: int
    price: float | None


def plan(ecgs: float, parameters: float, given: Assumptions, *, shared: bool = True) -> Plan:
    """The plan for a number of ECGs and a number of trained parameters.

    Args:
        shared: the questions of an ECG share one computation of its tokens; otherwise each question
            carries its own.
    """
    questions = given.questions_per_ecg
    text = questions * given.tokens_per_question
    tokens = ecgs * given.passes * ((1 if shared else questions) * given.tokens_per_ecg + text)
    flops = FLOPS_PER_PARAMETER_AND_TOKEN * parameters * tokens
    hours = flops / (given.peak_tflops * 1e12 * given.utilisation) / 3600
    state = BYTES_PER_PARAMETER * parameters / 2**30
    return Plan(
        tokens,
        flops,
        hours,
        state,
        math.ceil(state / given.gpu_gib),
        None if given.price is None else hours * given.price,
    )


def table(given: Assumptions) -> str:
    """The plans for both sets and both sizes, as a table in Markdown."""
    lines = [
        "| set | parameters | ECGs | tokens | FLOPs | GPU hours | cost | state | GPUs for it |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, ecgs in ECGS.items():
        for size, parameters in PARAMETERS.items():
            one = plan(ecgs, parameters, given)
            cost = f"{one.gpu_hours:.2f} x P" if one.price is None else f"{one.price:,.2f}"
            lines.append(
                f"| {name} | {size} | {ecgs:,} | {one.tokens:,.0f} | {one.flops:.2e} | "
                f"{one.gpu_hours:,.2f} | {cost} | {one.state_gib:.0f} GiB | {one.gpus_for_state} |"
            )
    return "\n".join(lines)


def parse(arguments: list[str] | None = None) -> Assumptions:
    """The assumptions of the command line; each must be positive, and the utilisation at most 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Assumptions):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=float, default=field.default)
    given = Assumptions(**vars(parser.parse_args(arguments)))
    for field in fields(Assumptions):
        value = getattr(given, field.name)
        if value is not None and not 0 < value < math.inf:
            parser.error(f"{field.name}: expected a positive number, found {value}")
    if given.utilisation > 1:
        parser.error(f"utilisation: expected at most 1, found {given.utilisation}")
    return given


if __name__ == "__main__":
    print(table(parse()))
