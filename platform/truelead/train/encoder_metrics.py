"""How well the encoder's label head tells the SCP statements: area under the ROC curve.

Shape suffixes: N ECGs, C targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truelead.train.encoder_targets import Targets
from truelead.types import Record

MINIMUM_POSITIVES = 8
"""Positives, and negatives, that a statement needs in the split to be measured."""


def label_metrics(
    logits_NC: NDArray[np.floating[Any]], records: Sequence[Record], targets: Targets
) -> dict[str, Any]:
    """AUROC of every statement with enough positives in these records, and their mean.

    A statement that had too few train ECGs to be a target counts as 0.5: nothing was learned.

    Args:
        logits_NC: of the records, one column a target.

    Returns:
        macro_auroc (NaN-free; None where no statement can be measured), statements, and for each
        code its auroc, its positives, and whether it was a target.
    """
    from sklearn.metrics import roc_auc_score

    column = {name: index for index, name in enumerate(targets.names[: targets.statements])}
    table: dict[str, dict[str, Any]] = {}
    for code in sorted({code for record in records for code in record.scp_codes}):
        truth_N = np.array([code in record.scp_codes for record in records])
        positives = int(truth_N.sum())
        if min(positives, len(records) - positives) < MINIMUM_POSITIVES:
            continue
        learned = code in column
        auroc = float(roc_auc_score(truth_N, logits_NC[:, column[code]])) if learned else 0.5
        table[code] = {"auroc": auroc, "positives": positives, "learned": learned}
    values = [row["auroc"] for row in table.values()]
    return {
        "macro_auroc": float(np.mean(values)) if values else None,
        "statements": len(values),
        "minimum_positives": MINIMUM_POSITIVES,
        "codes": table,
    }
