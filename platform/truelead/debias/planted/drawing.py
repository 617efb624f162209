"""A planted set from its dials: the model behind it, and what is drawn for each ECG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from truelead.config import PlantedConfig
from truelead.data.planted_set import PlantedEcg
from truelead.data.planted_statement import PlantedStatement, read_statement
from truelead.debias.planted.model import PlantedEcgs, PlantedModel, planted_model
from truelead.debias.randomness import generator
from truelead.errors import DataError
from truelead.types import Record


def model_of(config: PlantedConfig) -> PlantedModel:
    """The structural model of these dials."""
    return planted_model(**config.model_dump(exclude={"ecgs", "seed"}))


def draw_set(config: PlantedConfig) -> tuple[PlantedEcg, ...]:
    """The hidden variables of every ECG of the set; confounding and positivity change none."""
    ecgs = model_of(config).draw(config.ecgs, generator("planted set", config.seed))
    return tuple(
        PlantedEcg(
            PlantedStatement(int(severity), int(marker), tuple(map(bool, trace_C))),
            tuple(map(bool, condition_C)),
        )
        for severity, marker, trace_C, condition_C in zip(
            ecgs.severity_N, ecgs.marker_N, ecgs.trace_NC, ecgs.condition_NC, strict=True
        )
    )


def planted_in(
    records: Sequence[Record], codes: Sequence[str], config: PlantedConfig
) -> PlantedEcgs:
    """What the records say is planted in them, in their order.

    Args:
        records: of the set that `draw_set` drew for these dials, all or some of them.
        codes: SCP code of each condition.

    Raises:
        DataError: a record carries no statement of a planted set, or one that other dials drew.
    """
    drawn = {str(number): ecg for number, ecg in enumerate(draw_set(config), start=1)}
    statements = []
    for record in records:
        found = read_statement(record)
        conditions = tuple(code in record.scp_codes for code in codes)
        # The truth is that of these dials, so the ECGs must be theirs and no other set's.
        if drawn.get(record.record_id) != PlantedEcg(found, conditions):
            raise DataError(
                f"{record.source} record {record.record_id}: report: expected what the dials under "
                "planted draw for this record, found another set's: write the set again in "
                "another folder, or give the dials that it was written with"
            )
        statements.append(found)
    return PlantedEcgs(
        severity_N=np.array([found.severity for found in statements], dtype=np.int64),
        condition_NC=np.array(
            [[code in record.scp_codes for code in codes] for record in records], dtype=np.bool_
        ),
        trace_NC=np.array([found.traces for found in statements], dtype=np.bool_),
        marker_N=np.array([found.marker for found in statements], dtype=np.int64),
    )
