"""Errors about an ECG of a request, named by its place there and without any word of the file.

On a user's own disk an error may quote a lead's name or a unit, which helps to mend the file. Over
the network it may not: whatever stands in a file can be the patient's name.
"""

from __future__ import annotations

import re

from truelead.errors import RecordError

_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)
# Readers speak of the command line's options; a request has fields instead.
_OPTIONS = {
    "--rate HZ": "the field sampling_rate (Hz)",
    "--units mV, uV, V or adc": "the field units (mV, uV, V or adc)",
    "--leads I,II,...": "the field leads (I,II,...)",
    "--gain ADC_UNITS_PER_MV": "the field gain (ADC units a mV)",
    "--orientation samples-by-leads or leads-by-samples": (
        "the field orientation (samples-by-leads or leads-by-samples)"
    ),
    "--rate": "sampling_rate",
}
_OPTION = re.compile(r"--([a-z])")


def anonymous(error: RecordError, where: str) -> RecordError:
    """The same error about `where`, without what it quotes and without a path of this machine."""
    return type(error)(
        where,
        field=_QUOTED.sub("another name", error.field),
        expected=_as_fields(error.expected),
        found=_QUOTED.sub("another", error.found),
    )


def _as_fields(text: str) -> str:
    for option, words in _OPTIONS.items():
        text = text.replace(option, words)
    return _OPTION.sub(r"\1", text)
