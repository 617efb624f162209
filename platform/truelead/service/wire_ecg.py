"""An ECG on the wire: samples as numbers, a WFDB pair, or a file of any format."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from truelead.service import limits
from truelead.service.wire_base import Base64Content, Wire
from truelead.signal.formats import FORMATS
from truelead.types import LEADS

SAMPLES_TAG, WFDB_TAG, FILE_TAG = "samples-of-leads", "wfdb-pair", "file-of-any-format"
KNOWN_TAG = "known-ecg"
"""Names of the forms of an ECG in the schema; they are no part of a request."""

FORMAT_NAMES = tuple(FORMATS)
LeadName = Annotated[str, Field(max_length=limits.MAXIMUM_LEAD_NAME_CHARACTERS)]

Sample = Annotated[float, Field(strict=True, allow_inf_nan=False)] | None
LeadSamples = Annotated[
    list[Sample],
    Field(min_length=1, max_length=limits.MAXIMUM_SAMPLES, fail_fast=True),
]


class LeadsInput(Wire):
    """An ECG as numbers: all 12 leads by name, each of the same length.

    null stands for a sample that was not recorded; null in place of a list for a lead that was not.
    """

    sampling_rate: Annotated[float, Field(strict=True)] = Field(
        ge=limits.MINIMUM_SAMPLING_RATE,
        le=limits.MAXIMUM_SAMPLING_RATE,
        description="samples a second (Hz)",
    )
    units: Literal["mV", "uV"]
    leads: dict[str, LeadSamples | None] = Field(
        description=f"samples of each of {', '.join(LEADS)}"
    )

    @field_validator("leads", mode="before")
    @classmethod
    def _the_twelve_leads(cls, leads: Any) -> Any:
        """Names are checked first, so that no unknown name is ever repeated in a message."""
        from truelead.errors import LeadError
        from truelead.signal import canonical_lead_name

        if not isinstance(leads, dict):
            raise PydanticCustomError("leads", "expected an object: lead name to samples")
        found: dict[str, Any] = {}
        unknown = 0
        for name, samples in leads.items():
            try:
                lead = canonical_lead_name(name)
            except LeadError:
                unknown += 1
                continue
            if lead in found:
                raise PydanticCustomError(
                    "leads", "expected each lead once, found {lead} twice", {"lead": lead}
                )
            found[lead] = samples
        missing = [lead for lead in LEADS if lead not in found]
        if missing or unknown:
            parts = [f"{', '.join(missing)} missing"] if missing else []
            parts += [f"{unknown} of another name"] if unknown else []
            raise PydanticCustomError(
                "leads",
                "expected the 12 leads {leads} (null where not recorded), found {found}",
                {"leads": ", ".join(LEADS), "found": "; ".join(parts)},
            )
        return found


class WfdbPair(Wire):
    """The two files of a WFDB record, as they lie on disk."""

    header: Base64Content = Field(description="the .hea file, base64")
    signal: Base64Content = Field(description="the signal file (.dat, .mat), base64")

    @field_validator("header")
    @classmethod
    def _header_is_small(cls, header: bytes) -> bytes:
        if len(header) > limits.MAXIMUM_HEADER_BYTES:
            raise PydanticCustomError(
                "header",
                "expected at most {most} bytes, found {found}",
                {"most": limits.MAXIMUM_HEADER_BYTES, "found": len(header)},
            )
        return header


class WfdbInput(Wire):
    """An ECG as a WFDB record of one signal file that holds the 12 leads."""

    wfdb: WfdbPair


class FileContent(Wire):
    """A file in any format that TrueLead reads, and what it does not say itself.

    CSV, NPY, HDF5 and MATLAB files are silent about some of the last fields; a file that says
    them itself refuses a statement that contradicts it.
    """

    name: str = Field(
        max_length=limits.MAXIMUM_FILE_NAME_CHARACTERS,
        repr=False,
        description="only its ending is looked at; never stored, repeated or logged",
    )
    content: Base64Content = Field(description="the file, base64", repr=False)
    format: Literal[FORMAT_NAMES] | None = Field(  # type: ignore[valid-type]
        None, description="found out by the content where left out"
    )
    sampling_rate: float | None = Field(None, gt=0, description="Hz")
    units: Literal["mV", "uV", "V", "adc"] | None = None
    leads: tuple[LeadName, ...] | None = Field(
        None, max_length=limits.MAXIMUM_STATED_LEADS, description="of the columns, in file order"
    )
    gain: float | None = Field(None, gt=0, description="ADC units a millivolt; with units adc")
    orientation: Literal["samples-by-leads", "leads-by-samples"] | None = None


class FileInput(Wire):
    """An ECG as one file of any format."""

    file: FileContent


class KnownInput(Wire):
    """An ECG that was sent a short while ago, by the `reference` that its answer named."""

    known: str = Field(pattern=r"^[0-9a-f]{64}$", description="`ecgs[].reference` of an answer")


def _form_of_ecg(value: Any) -> str:
    if isinstance(value, KnownInput) or (isinstance(value, dict) and "known" in value):
        return KNOWN_TAG
    if isinstance(value, WfdbInput) or (isinstance(value, dict) and "wfdb" in value):
        return WFDB_TAG
    if isinstance(value, FileInput) or (isinstance(value, dict) and "file" in value):
        return FILE_TAG
    return SAMPLES_TAG


EcgInput = Annotated[
    Annotated[LeadsInput, Tag(SAMPLES_TAG)]
    | Annotated[WfdbInput, Tag(WFDB_TAG)]
    | Annotated[FileInput, Tag(FILE_TAG)]
    | Annotated[KnownInput, Tag(KNOWN_TAG)],
    Discriminator(_form_of_ecg),
]
