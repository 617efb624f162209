"""When is an answer's reliance on its ECG too little? A threshold with a known false-alarm rate.

Split-conformal (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Lei et
al., JASA 2018): of n answers given with the patients' own ECGs, the threshold is the reliance of
rank floor(rate (n + 1)), and an answer below it is flagged. If a further answer is exchangeable
with those n, it is flagged with a probability of at most `rate`, for any n and any model. Answers
about one patient hang together; the bound then holds on average over patients who are asked alike,
and the rate on held-out patients has to be measured, which the judge does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from truelead.data.durable import write_durable_text
from truelead.errors import ModelError
from truelead.model.reference_ecgs import ReferenceEcgs, model_digest
from truelead.model.reliance import AnswerReliance

RELIANCE_FILE = "reliance.json"
FORMAT_VERSION = 1
FALSE_ALARM_RATE = 0.05
_TIE = 1e-6  # nats: rounding alone never flags an answer


@dataclass(frozen=True)
class RelianceThreshold:
    """Says which answers their ECG does not support. Not for clinical use.

    Attributes:
        closed, free: nats, for closed and for free answers, which differ in scale; None where
            there were too few answers to calibrate on.
        false_alarm_rate: bound on the share of answers flagged with the patient's own ECG.
        answers: how many answers it was fitted on, of how many patients.
        model, references: SHA-256 of what it belongs to.
    """

    closed: float | None
    free: float | None
    false_alarm_rate: float
    answers: int
    patients: int
    model: str
    references: str

    def flags(self, found: AnswerReliance) -> bool | None:
        """Whether this patient's ECG does not support the answer; None where it cannot be said.

        True where the model gives another answer with this ECG, or where the answer rests on the
        ECG less than all but `false_alarm_rate` of the answers given with the right ECG.
        """
        if found.contradicted:
            return True
        threshold = self.free if found.margin is None else self.closed
        return None if threshold is None else found.reliance < threshold - _TIE

    def save(self, folder: str | Path) -> Path:
        """Write `RELIANCE_FILE` into the model's folder."""
        path = Path(folder) / RELIANCE_FILE
        text = json.dumps({"format": FORMAT_VERSION, **asdict(self)}, indent=1)
        write_durable_text(path, text + "\n")
        return path

    @classmethod
    def load(
        cls, folder: str | Path, references: ReferenceEcgs, *, model: str | None = None
    ) -> RelianceThreshold:
        """The threshold of the model in `folder`.

        Args:
            model: `model_digest` of the model where the folder does not hold it (an adapter's).

        Raises:
            ModelError: the file is missing or damaged, or belongs to another model or to other
                reference ECGs.
        """
        path = Path(folder) / RELIANCE_FILE
        if not path.is_file():
            raise ModelError(f"{path}: expected a reliance threshold, found none: calibrate first")
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{path}: expected JSON, found damage") from error
        found = _parsed(path, tree)
        for name, expected in (
            ("model", model or model_digest(folder)),
            ("references", references.digest),
        ):
            if getattr(found, name) != expected:
                raise ModelError(
                    f"{path}: {name}: expected digest {expected[:12]}, "
                    f"found {getattr(found, name)[:12]}: calibrate again"
                )
        return found


def conformal_threshold(reliances: Sequence[float], rate: float = FALSE_ALARM_RATE) -> float | None:
    """The reliance below which at most `rate` of further answers lie; None if there are too few."""
    rank = math.floor(rate * (len(reliances) + 1))
    return sorted(reliances)[rank - 1] if rank else None


def strictest_threshold(
    sets: Mapping[str, Sequence[float]], rate: float = FALSE_ALARM_RATE
) -> float | None:
    """One threshold that keeps the rate on each of several kinds of questioning: the lowest."""
    found = [conformal_threshold(reliances, rate) for reliances in sets.values() if reliances]
    known = [threshold for threshold in found if threshold is not None]
    return min(known) if found and len(known) == len(found) else None


def _parsed(path: Path, tree: object) -> RelianceThreshold:
    if not isinstance(tree, dict) or tree.get("format") != FORMAT_VERSION:
        version = tree.get("format") if isinstance(tree, dict) else None
        raise ModelError(f"{path}: format: expected {FORMAT_VERSION}, found {version}")
    kinds: dict[str, tuple[type, ...]] = {
        "closed": (int, float, type(None)),
        "free": (int, float, type(None)),
        "false_alarm_rate": (float,),
        "answers": (int,),
        "patients": (int,),
        "model": (str,),
        "references": (str,),
    }
    if set(tree) != {"format", *kinds}:
        raise ModelError(f"{path}: expected the fields {', '.join(kinds)}")
    for name, kind in kinds.items():
        value = tree[name]
        finite = not isinstance(value, float) or math.isfinite(value)
        if not isinstance(value, kind) or isinstance(value, bool) or not finite:
            raise ModelError(f"{path}: {name}: expected a finite value of its kind")
    return RelianceThreshold(**{name: tree[name] for name in kinds})
