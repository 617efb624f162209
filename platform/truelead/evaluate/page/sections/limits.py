"""What these numbers do not say."""

from __future__ import annotations

from truelead.evaluate.page.blocks import Points, Section
from truelead.evaluate.page.view import View


def section(view: View) -> Section:
    """The limits in plain words, those of this very report among them."""
    report = view.report
    facts = report.provenance
    items = [
        "That a model reads the ECG means that its answers depend on it. It does **not** mean "
        "that a single answer is right.",
        "An answer counts as right if it agrees with the set's labels. Labels are wrong too at "
        "times, and a model can then be right and be counted wrong, or the reverse.",
    ]
    if facts.get("data", "").startswith("generated"):
        items.append(
            "**The ECGs are generated.** Nothing here says anything of real patients: the run "
            "shows that the machinery works."
        )
    else:
        items.append(
            f"One data set ({facts.get('data', 'unnamed')}) from few devices and one population. "
            "How the model does elsewhere is not tested."
        )
    items.append(
        f"Severity ({facts.get('severity', 'as configured')}) is a stand-in for how ill a patient "
        "is. What it does not measure is not adjusted for."
    )
    differences = len([one for one in report.examination.comparisons if one.second == view.arms[0]])
    items.append(
        "Each interval is a 95 % interval of its own"
        + (
            f"; of the {differences} differences from {view.arms[0]} about one in twenty leaves "
            "out 0 by chance alone."
            if differences
            else "."
        )
    )
    if view.runs == 1:
        items.append(
            "**One training run of each model**: how much another seed would change is not shown, "
            "and the intervals do not hold it."
        )
    failed = max((one.failures for one in view.cells if not one.baseline), default=0.0)
    items.append(
        "An answer that is missing or outside its closed set counts as wrong"
        + (
            f"; at most {100 * failed:.1f} % of a model's answers to a test set were."
            if failed
            else "; there was none."
        )
    )
    return Section("limits", "What this does not show", "Limits", (Points(tuple(items)),))
