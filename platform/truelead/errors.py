"""Typed errors. Each message is one line that names the place, the field and what was expected."""

from __future__ import annotations


class TrueLeadError(Exception):
    """Base of every error that a user can cause and can mend.

    The command line prints it as one line and ends with status 2; the HTTP service answers 4xx.
    """


class ConfigError(TrueLeadError):
    """A recipe, override or argument is not what the configuration accepts."""


class RecordError(TrueLeadError):
    """One ECG record cannot be used; long jobs set it aside under `reason` and go on.

    Args:
        where: file or record the error is about.
        field: the part of it that is wrong.
        expected: what should have been there.
        found: what was there, never patient data.
    """

    reason = "unusable"

    def __init__(self, where: object, *, field: str, expected: str, found: str = "") -> None:
        self.where = str(where)
        self.field = field
        self.expected = expected
        self.found = found
        tail = f", found {found}" if found else ""
        super().__init__(f"{self.where}: {field}: expected {expected}{tail}")

    def __reduce__(self) -> tuple[object, ...]:
        """Keyword-only arguments survive the trip between Ray processes."""
        return (_rebuild, (type(self), self.where, self.field, self.expected, self.found))


def _rebuild(
    kind: type[RecordError], where: str, field: str, expected: str, found: str
) -> RecordError:
    return kind(where, field=field, expected=expected, found=found)


class MissingFile(RecordError):
    """A file that the record names is not there."""

    reason = "missing-file"


class MalformedHeader(RecordError):
    """The header cannot be parsed or contradicts itself."""

    reason = "malformed-header"


class UnsupportedFormat(RecordError):
    """The storage format is known to be outside what the reader supports."""

    reason = "unsupported-format"


class TruncatedSignal(RecordError):
    """The signal file is shorter than the header says."""

    reason = "truncated"


class ChecksumMismatch(RecordError):
    """The samples do not add up to the header's checksum."""

    reason = "checksum"


class RecordTooLarge(RecordError):
    """The header claims more samples than the configured limit."""

    reason = "too-large"


class LeadError(RecordError):
    """Leads are missing, doubled, or not those of a 12-lead ECG."""

    reason = "leads"


class StatementError(RecordError):
    """What the user states of a file is missing, or contradicts the file."""

    reason = "statement"


class InvalidEcg(RecordError):
    """Values that no `Ecg` may hold."""

    reason = "invalid-values"


class DataError(TrueLeadError):
    """A data set, shard or manifest is missing, damaged or of another schema version."""


class QuestionError(TrueLeadError):
    """A question file, template or label rule is not what was expected."""


class ModelError(TrueLeadError):
    """A model folder or its configuration cannot be used."""


class SpliceError(ModelError):
    """ECG placeholders in the text and ECG tokens of the encoder disagree."""


class CheckpointError(TrueLeadError):
    """A checkpoint is damaged or does not fit the model."""


class ResourceError(TrueLeadError):
    """The cluster cannot give the resources that a job asks for."""


class ClusterError(TrueLeadError):
    """A cluster does not answer, refuses the token, or does not know what is asked for."""


class ServiceError(TrueLeadError):
    """A request to the service is not acceptable; carries the HTTP status."""

    def __init__(self, message: str, *, status: int = 422) -> None:
        self.status = status
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_service, (str(self), self.status))


def _rebuild_service(message: str, status: int) -> ServiceError:
    return ServiceError(message, status=status)
