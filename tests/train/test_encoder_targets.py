"""Targets of encoder pre-training, the augmentation, and the area under the ROC curve."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from truelead.errors import DataError
from truelead.train.augmentation import Augmentation
from truelead.train.encoder_metrics import label_metrics
from truelead.train.encoder_targets import build_targets
from truelead.types import Record


def record(number: int, split: str = "train", **labels: object) -> Record:
    report = "sinus rhythm. normal ecg." if number % 2 else "atrial fibrillation."
    base = {"record_id": str(number), "patient_id": "p", "source": "test", "path": "x"}
    return Record(**{**base, "report": report, "split": split, **labels})  # type: ignore[arg-type]


@pytest.fixture
def records() -> list[Record]:
    return [
        *(record(n, scp_codes={"NORM": 100.0, "SR": 0.0}, heart_axis="MID") for n in range(8)),
        *(record(n, scp_codes={"AFIB": 0.0}, static_noise=" , I-II,  ") for n in range(8, 14)),
        *(record(n, scp_codes={"RARE": 50.0}, extra_beats="1ES") for n in range(14, 16)),
        *(record(n, "valid", scp_codes={"VALID": 100.0}) for n in range(16, 24)),
    ]


def test_targets_hold_what_enough_train_records_have(records: list[Record]) -> None:
    targets = build_targets(records, minimum_positives=5)
    assert targets.names[: targets.statements] == ("AFIB", "NORM", "SR")
    assert "noise: static noise" in targets.names
    assert "noise: any in lead I" in targets.names
    assert "noise: static noise in lead II" in targets.names
    assert not any("lead III" in name or "beats" in name for name in targets.names)
    column = targets.names.index("AFIB")
    assert [int(targets.label_NC[targets.row[str(n)], column]) for n in (0, 8)] == [0, 1]
    axis = targets.names.index("heart axis: normal heart axis")
    assert [bool(targets.known_NC[targets.row[str(n)], axis]) for n in (0, 8)] == [True, False]
    assert targets.report_mask_NS.any(axis=1).all()
    assert "16" not in targets.row, "valid records are not trained on"
    with pytest.raises(DataError, match="minimum_positives"):
        build_targets(records, minimum_positives=50)


def test_auroc_counts_unlearned_statements_as_chance(records: list[Record]) -> None:
    targets = build_targets(records, minimum_positives=5)
    logits_NC = np.zeros((len(records), len(targets.names)))
    for code in ("AFIB", "NORM", "SR"):
        column = targets.names.index(code)
        logits_NC[:, column] = [code in item.scp_codes for item in records]
    found = label_metrics(logits_NC, records, targets)
    assert set(found["codes"]) == {"NORM", "SR", "VALID"}, "those with 8 positives"
    assert found["codes"]["NORM"] == {"auroc": 1.0, "positives": 8, "learned": True}
    assert found["codes"]["VALID"] == {"auroc": 0.5, "positives": 8, "learned": False}
    assert found["macro_auroc"] == pytest.approx(2.5 / 3)


def test_augmentation_keeps_shape_and_scale() -> None:
    torch.manual_seed(0)
    ecg_NLT = torch.randn(8, 12, 200)
    changed_NLT = Augmentation()(ecg_NLT)
    assert changed_NLT.shape == ecg_NLT.shape
    assert torch.isfinite(changed_NLT).all()
    assert 0.6 < float(changed_NLT.std() / ecg_NLT.std()) < 1.2
    shifted_NLT = Augmentation(shift=0.1, scale=0, noise=0, lead_dropout=0)(ecg_NLT)
    for before_LT, after_LT in zip(ecg_NLT, shifted_NLT, strict=True):
        lags = [
            lag
            for lag in range(-20, 21)
            if torch.equal(
                after_LT[:, max(0, lag) : 200 + min(0, lag)],
                before_LT[:, max(0, -lag) : 200 - max(0, lag)],
            )
        ]
        assert len(lags) == 1, "a shifted copy"
    again = Augmentation(shift=0, scale=0, noise=0, lead_dropout=0)(ecg_NLT)
    assert torch.equal(again, ecg_NLT)


def test_notes_weigh_together_a_share_of_the_statements(records: list[Record]) -> None:
    targets = build_targets(records, 1)
    weights = targets.weights(0.25)
    assert len(weights) == len(targets.names)
    assert weights[: targets.statements] == pytest.approx(1)
    assert weights[targets.statements :].sum() == pytest.approx(0.25 * targets.statements)
