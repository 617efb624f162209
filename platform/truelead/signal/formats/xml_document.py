"""XML files of strangers: parsed within bounds, searched by local name, read strictly.

Parsing goes through defusedxml. Entities are refused; a document type declaration is refused too,
save where a format's real files name one (GE MUSE: `<!DOCTYPE RestingECG SYSTEM "restecg.dtd">`),
and then it may declare nothing itself and its external part is never opened. Messages never quote
the text of an element, because any of it may name the patient.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder

from truelead.errors import MalformedHeader, MissingFile, RecordTooLarge, UnsupportedFormat
from truelead.signal.formats.optional_package import optional_package
from truelead.signal.record_files import read_regular_file

MAXIMUM_FILE_BYTES = 64 * 2**20
MAXIMUM_ELEMENTS = 200_000
MAXIMUM_DEPTH = 64

_NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,3})?", re.ASCII)
_COUNT = re.compile(r"\d{1,40}", re.ASCII)
# No quantity of an ECG file is near it; products of such numbers stay finite.
_LARGEST = 1e15
_WHITE_SPACE = re.compile(r"[ \t\r\n]+")
# What may stand before the root: byte order mark, declaration, comments, document type.
_PROLOGUE = re.compile(r"\s+|\ufeff|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*>", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)[\s/>]")


class _BoundedBuilder(TreeBuilder):
    """Builds the tree, and raises as soon as it is too deep or too large."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self._elements += 1
        if self._depth > MAXIMUM_DEPTH:
            raise MalformedHeader(
                self._where, field="elements", expected=f"at most {MAXIMUM_DEPTH} levels"
            )
        if self._elements > MAXIMUM_ELEMENTS:
            raise RecordTooLarge(
                self._where, field="elements", expected=f"at most {MAXIMUM_ELEMENTS}"
            )
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def read_document(path: Path, *, root: str, document_type_allowed: bool = False) -> Element:
    """The root element of an XML file.

    Args:
        path: the file, at most `MAXIMUM_FILE_BYTES`.
        root: the local name that the root must have.
        document_type_allowed: whether `<!DOCTYPE name SYSTEM "...">` may stand in the file.

    Raises:
        MissingFile: it is not there or no ordinary file.
        RecordTooLarge: more bytes or elements than the limits.
        MalformedHeader: not well-formed, too deep, a declared entity or document type.
        UnsupportedFormat: another root element, or defusedxml is not installed.
    """
    where = str(path)
    defused = optional_package("defusedxml.ElementTree", where=where)
    try:
        content = read_regular_file(
            where, maximum_bytes=MAXIMUM_FILE_BYTES, field="file", where=where
        )
    except OSError as error:
        raise MissingFile(
            where, field="file", expected="a readable file", found=type(error).__name__
        ) from error
    parser = defused.DefusedXMLParser(
        target=_BoundedBuilder(where),
        forbid_dtd=not document_type_allowed,
        forbid_entities=True,
        forbid_external=True,
    )
    if document_type_allowed:
        parser.parser.StartDoctypeDeclHandler = _refuse_declarations(where)
    # "from None": the causes quote names that stand in the file.
    try:
        parser.feed(content)
        element: Element = parser.close()
    except (
        defused.DTDForbidden,
        defused.EntitiesForbidden,
        defused.ExternalReferenceForbidden,
    ) as error:
        raise MalformedHeader(
            where,
            field="XML",
            expected="no document type and no entities",
            found=type(error).__name__,
        ) from None
    except defused.ParseError as error:
        line, column = error.position
        raise MalformedHeader(
            where, field="XML", expected="well-formed", found=f"an error at {line}:{column}"
        ) from None
    except (ValueError, LookupError) as error:
        # An encoding that does not exist, or that expat cannot map byte by byte.
        raise MalformedHeader(
            where, field="XML", expected="a known encoding", found=type(error).__name__
        ) from None
    if local_name(element) != root:
        raise UnsupportedFormat(where, field="root element", expected=root, found="another")
    return element


def _refuse_declarations(where: str) -> object:
    def handler(_name: str, _system: str, _public: str, has_internal_subset: int) -> None:
        if has_internal_subset:
            raise MalformedHeader(
                where, field="XML", expected="a document type that declares nothing itself"
            )

    return handler


def root_name(head: bytes) -> str:
    """The local name of the root element that the first bytes of a file show, "" if none."""
    if head.startswith((b"\xff\xfe", b"<\x00")):
        text = head.decode("utf-16-le", errors="replace")
    elif head.startswith((b"\xfe\xff", b"\x00<")):
        text = head.decode("utf-16-be", errors="replace")
    else:
        text = head.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    position = 0
    while skipped := _PROLOGUE.match(text, position):
        position = skipped.end()
    found = _ROOT.match(text, position)
    return found[1] if found else ""


def local_name(element: Element) -> str:
    """The element's name without its namespace, "" for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(parent: Element, *names: str) -> list[Element]:
    """Elements reached from `parent` by the local names, in file order."""
    reached = [parent]
    for name in names:
        reached = [child for each in reached for child in each if local_name(child) == name]
    return reached


def only_child(parent: Element, *names: str, where: str) -> Element:
    """The one element reached from `parent` by the local names.

    Raises:
        MalformedHeader: there is none, or more than one.
    """
    found = children(parent, *names)
    if len(found) != 1:
        raise MalformedHeader(
            where, field="/".join(names), expected="one element", found=f"{len(found)}"
        )
    return found[0]


def attribute(element: Element, name: str) -> str | None:
    """The attribute of that local name without outer white space, None if there is none."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value.strip()
    return None


def text_of(element: Element) -> str:
    """The element's own text without outer white space.

    Text behind a child counts too: ElementTree keeps it as the child's tail.
    """
    return "".join([element.text or "", *(child.tail or "" for child in element)]).strip()


def number(text: str | None, *, field: str, where: str, positive: bool = False) -> float:
    """A decimal number between -1e15 and 1e15, from 1e-15 where it must be above 0.

    Raises:
        MalformedHeader: it is absent, no number, or outside.
    """
    value = float(text) if text is not None and _NUMBER.fullmatch(text) else math.nan
    lowest = 1 / _LARGEST if positive else -_LARGEST
    if not lowest <= value <= _LARGEST:
        raise MalformedHeader(
            where, field=field, expected="a number above 0" if positive else "a number"
        )
    return value


def count(text: str | None, *, field: str, where: str, maximum: int) -> int:
    """A whole number from 1.

    Raises:
        MalformedHeader: it is absent, no whole number, or 0.
        RecordTooLarge: it is above `maximum`.
    """
    value = int(text) if text is not None and _COUNT.fullmatch(text) else 0
    if value < 1:
        raise MalformedHeader(where, field=field, expected="a whole number above 0")
    if value > maximum:
        raise RecordTooLarge(where, field=field, expected=f"at most {maximum}", found=f"{value}")
    return value


def base64_bytes(text: str, *, field: str, where: str) -> bytes:
    """The bytes of base64 (RFC 4648, section 4); white space between lines is allowed.

    Raises:
        MalformedHeader: another character, or padding that is wrong.
    """
    try:
        return base64.b64decode(_WHITE_SPACE.sub("", text).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise MalformedHeader(where, field=field, expected="base64") from None
