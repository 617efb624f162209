"""Where the ECGs come from, how they are split and how they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from truelead.config.base import Frozen


class GenerateConfig(Frozen):
    """A generated set in PTB-XL's layout, used where no real set is named."""

    patients: int = Field(400, ge=1)
    ecgs_per_patient: float = Field(1.5, ge=1.0, description="mean number of serial ECGs")
    sampling_rate: Literal[100, 500] = 100
    seed: int = 0


class PlantedConfig(Frozen):
    """A set with planted truth: the dials of `truelead.debias.planted.planted_model`.

    One ECG a patient, at 100 Hz. Confounding and positivity shape only what is asked, so that one
    set of ECGs serves several levels of them.
    """

    ecgs: int = Field(2000, ge=10)
    conditions: int = Field(6, ge=2, le=8)
    strata: int = Field(3, ge=2, le=4)
    confounding: float = Field(1.0, ge=0, le=1)
    positivity: float = Field(0.1, ge=0, le=1)
    noise: float = Field(0.4, ge=0, le=1)
    severity_readable: float = Field(0.0, ge=0, le=1)
    false_trace: float = Field(0.05, ge=0, le=1)
    seed: int = Field(0, ge=0)


class StatedSignalConfig(Frozen):
    """What the files of a set do not say themselves; nothing of it is ever guessed.

    The fields are those of `truelead.signal.formats.base.StatedSignal`.
    """

    sampling_rate: float | None = Field(None, gt=0, description="Hz")
    units: Literal["mV", "uV", "V", "adc"] | None = None
    gain: float | None = Field(None, gt=0, description="ADC units per millivolt; units adc")
    leads: tuple[str, ...] | None = Field(None, min_length=1, description="in file order")
    orientation: Literal["samples-by-leads", "leads-by-samples"] | None = None

    @model_validator(mode="after")
    def _gain_belongs_to_adc_units(self) -> StatedSignalConfig:
        if (self.units == "adc") != (self.gain is not None):
            raise ValueError("gain: expected together with units: adc, and only then")
        return self


SplitBy = Literal["strat_fold", "ecg_qa", "hash", "listed"]


def _text_or_path(found: object) -> object:
    if not isinstance(found, str | Path):
        raise ValueError("expected a path or a URL")
    return found


def _place(found: Path | str) -> Path | str:
    """A URL as it is written, since a path would lose one of its slashes; any other text a path."""
    return found if "://" in str(found) or "::" in str(found) else Path(found)


Place = Annotated[str | Path, BeforeValidator(_text_or_path), AfterValidator(_place)]


class DataConfig(Frozen):
    """Which ECGs, how they are split, and how they are stored."""

    source: str = "ptbxl"
    root: Place | None = Field(
        None, description="folder of the set, a path or a URL of fsspec; None: generated ECGs"
    )
    labels: str = Field("labels.csv", description="the table below root (source folder)")
    label_columns: tuple[str, ...] = Field(
        (), description="columns of the table that are labels, named by their codes (source folder)"
    )
    ignored_columns: tuple[str, ...] = Field(
        (), description="columns of the table that are not read (source folder)"
    )
    format: str | None = Field(
        None, description="a name of truelead.signal.formats; None: told by each file's content"
    )
    stated: StatedSignalConfig = StatedSignalConfig()
    ecg_qa: Path | None = Field(None, description="folder of ECG-QA's official layout")
    split_by: SplitBy = Field(
        "strat_fold", description="PTB-XL's folds, ECG-QA's lists, a hash, or the set's own column"
    )
    valid_fraction: float = Field(0.1, ge=0.0, lt=0.5, description="of the patients, by hash")
    test_fraction: float = Field(0.1, ge=0.0, lt=0.5, description="of the patients, by hash")
    development_fraction: float = Field(
        0.1, ge=0.0, lt=0.5, description="share of the train patients kept for choosing"
    )
    sampling_rate: Literal[100, 250, 400, 500] = 100
    duration_seconds: float = Field(10.0, gt=0)
    records_per_shard: int = Field(256, ge=1)
    shards_url: str | None = Field(
        None,
        pattern="://|::",
        description="URL of fsspec where the shards are kept; stages read a copy in the output",
    )
    limit: int | None = Field(None, ge=1, description="first n records of the set only")
