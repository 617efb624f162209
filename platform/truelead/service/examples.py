"""Examples: generated ECGs to try the service with, and bodies for the OpenAPI document."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from truelead.errors import ServiceError
from truelead.service.client import to_wire
from truelead.signal.generator import Finding, generate_ecg
from truelead.types import LEADS

SAMPLING_RATE = 500
SECONDS = 10.0
_QUESTION = "Does this ECG show symptoms of atrial fibrillation?"

# Title, and conditions of the generator's catalogue with their strength.
EXAMPLES: tuple[tuple[str, dict[str, Finding]], ...] = (
    ("normal", {}),
    ("atrial fibrillation", {"AFIB": Finding(1.0)}),
    ("left bundle branch block", {"CLBBB": Finding(1.0)}),
    ("right bundle branch block", {"CRBBB": Finding(1.0)}),
    ("inferior infarction", {"IMI": Finding(1.0)}),
    ("left ventricular hypertrophy", {"LVH": Finding(1.0)}),
)


@lru_cache(maxsize=len(EXAMPLES))
def example(number: int) -> dict[str, Any]:
    """A generated ECG of 10 s at 500 Hz with what it shows; the same each time.

    Raises:
        ServiceError: 404, there is no example of that number.
    """
    if not 0 <= number < len(EXAMPLES):
        raise ServiceError(f"example: expected 0 to {len(EXAMPLES) - 1}", status=404)
    title, findings = EXAMPLES[number]
    made = generate_ecg(number + 1, findings, sampling_rate=SAMPLING_RATE, seconds=SECONDS)
    return {
        "number": number,
        "title": title,
        "codes": dict(made.record.scp_codes),
        "generated": True,
        "ecg": to_wire(made.ecg),
    }


def ask_example() -> dict[str, Any]:
    """A body of /v1/ask; its leads are cut to three samples, which are too few to be read."""
    return {"question": _QUESTION, "options": ["yes", "no"], "ecgs": [_short_ecg()]}


def compare_example() -> dict[str, Any]:
    """A body of /v1/compare, likewise cut."""
    return {"question": "What changed?", "ecgs": [_short_ecg(), _short_ecg()]}


def chat_example() -> dict[str, Any]:
    """A body of /v1/chat/completions, likewise cut."""
    content = [
        {"type": "input_ecg", "input_ecg": _short_ecg()},
        {"type": "text", "text": _QUESTION},
    ]
    return {
        "model": "debiased/finetune",
        "messages": [{"role": "user", "content": content}],
        "truelead": {"options": ["yes", "no"]},
    }


def embedding_example() -> dict[str, Any]:
    """A body of /v1/embeddings, likewise cut."""
    return {"input": [_short_ecg()], "kind": "encoder"}


def _short_ecg() -> dict[str, Any]:
    return {
        "sampling_rate": 500.0,
        "units": "mV",
        "leads": {lead: [0.01, 0.02, 0.03] for lead in LEADS},
    }
