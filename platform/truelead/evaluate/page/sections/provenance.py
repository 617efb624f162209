"""Where the numbers come from."""

from __future__ import annotations

from truelead.evaluate.page.blocks import Code, Facts, Fold, Section, Text
from truelead.evaluate.page.view import View


def section(view: View) -> Section:
    """Versions, digests, the recipe, and how intervals were made."""
    runs = (
        ", and over training runs (Student's interval with Satterthwaite's degrees of freedom)"
        if view.runs > 1
        else ""
    )
    return Section(
        "provenance",
        "Where it comes from",
        "Provenance",
        (
            Facts(dict(view.report.provenance)),
            Text(
                f"Intervals: bootstrap over patients, not questions{runs}. Every single prediction "
                "stands in predictions.parquet, every number of this page in report.json.",
                "soft",
            ),
            Fold("The recipe", (Code(view.report.recipe),)),
        ),
    )
