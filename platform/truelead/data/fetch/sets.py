"""The ECG sets that can be fetched by name: where they lie, their licence, who may have them.

Versions and files are those of PhysioNet (https://physionet.org), Zenodo (record 4916206) and
ECG-QA's repository. Sizes are the publishers' own round figures, for the table alone: what a
download needs on disk is asked of the server before it starts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from truelead.errors import ConfigError

Access = Literal["open", "credentialed"]
ListingKind = Literal["sha256sums", "zenodo", "github"]

GIGABYTE = 10**9


@dataclass(frozen=True, slots=True)
class EcgSet:
    """A set and the way to its files.

    Attributes:
        access: "credentialed" where the publisher gives files only to approved accounts.
        page: where a person reads about the set, its licence and how to get access.
        listing: how names and checksums are published; see `truelead.data.fetch.listing`.
        listing_url: address of that list.
        files_url: a file's address is `files_url` + its name + `files_suffix`.
        about_bytes: the publisher's round figure; None where none is known.
    """

    name: str
    version: str
    licence: str
    access: Access
    page: str
    listing: ListingKind
    listing_url: str
    files_url: str
    files_suffix: str = ""
    about_bytes: int | None = None


def _physionet(
    slug: str,
    version: str,
    licence: str,
    *,
    access: Access = "open",
    about_bytes: int | None = None,
) -> EcgSet:
    base = f"https://physionet.org/files/{slug}/{version}/"
    return EcgSet(
        name=slug,
        version=version,
        licence=licence,
        access=access,
        page=f"https://physionet.org/content/{slug}/{version}/",
        listing="sha256sums",
        listing_url=base + "SHA256SUMS.txt",
        files_url=base,
        about_bytes=about_bytes,
    )


_CODE_15 = "https://zenodo.org/api/records/4916206"
_ECG_QA_COMMIT = "3eabbce1c633695a82afe47966aabce4d7caa06b"

KNOWN_SETS: dict[str, EcgSet] = {
    "ptb-xl": _physionet("ptb-xl", "1.0.3", "CC BY 4.0", about_bytes=3 * GIGABYTE),
    "mimic-iv-ecg": _physionet("mimic-iv-ecg", "1.0", "ODbL 1.0", about_bytes=int(90.4 * GIGABYTE)),
    "mimic-iv-ecg-ext-icd-labels": _physionet(
        "mimic-iv-ecg-ext-icd-labels",
        "1.0.1",
        "PhysioNet Credentialed Health Data License 1.5.0",
        access="credentialed",
    ),
    "ludb": _physionet("ludb", "1.0.1", "ODC-By 1.0"),
    "challenge-2021": _physionet("challenge-2021", "1.0.3", "CC BY 4.0"),
    "code-15": EcgSet(
        name="code-15",
        version="1.0.0",
        licence="CC BY 4.0",
        access="open",
        page="https://zenodo.org/records/4916206",
        listing="zenodo",
        listing_url=_CODE_15,
        files_url=_CODE_15 + "/files/",
        files_suffix="/content",
    ),
    "ecg-qa": EcgSet(
        name="ecg-qa",
        version=f"1.0.2 ({_ECG_QA_COMMIT[:8]})",
        licence="CC BY 4.0",
        access="open",
        page="https://github.com/Jwoo5/ecg-qa",
        listing="github",
        listing_url=(
            f"https://api.github.com/repos/Jwoo5/ecg-qa/git/trees/{_ECG_QA_COMMIT}?recursive=1"
        ),
        files_url=f"https://raw.githubusercontent.com/Jwoo5/ecg-qa/{_ECG_QA_COMMIT}/",
    ),
}


def resolve_set(name_or_url: str, base_url: str | None = None) -> EcgSet:
    """A known set, or any folder with a SHA256SUMS.txt by its URL.

    Args:
        name_or_url: a key of `KNOWN_SETS`, or an http(s) URL of a folder.
        base_url: a mirror: a folder that holds the set's files and a SHA256SUMS.txt.

    Raises:
        ConfigError: the name is not known, or a URL is not one of a folder without a password.
    """
    known = KNOWN_SETS.get(name_or_url)
    if known is not None:
        return known if base_url is None else _mirrored(known, _folder_url(base_url))
    if "://" not in name_or_url:
        raise ConfigError(
            f"set: expected one of {', '.join(KNOWN_SETS)}, or the URL of a folder with "
            f"SHA256SUMS.txt, found {name_or_url!r}"
        )
    if base_url is not None:
        raise ConfigError("--base-url: expected with a known set, found with a URL")
    url = _folder_url(name_or_url)
    return EcgSet(
        name=urlsplit(url).path.strip("/") or urlsplit(url).netloc,
        version="",
        licence="as its publisher says",
        access="open",
        page=url,
        listing="sha256sums",
        listing_url=url + "SHA256SUMS.txt",
        files_url=url,
    )


def _mirrored(ecg_set: EcgSet, url: str) -> EcgSet:
    """A mirror needs no account of the publisher's; if it wants one of its own, it will say so."""
    return replace(
        ecg_set,
        access="open",
        listing="sha256sums",
        listing_url=url + "SHA256SUMS.txt",
        files_url=url,
        files_suffix="",
    )


def _folder_url(url: str) -> str:
    """The URL with one slash at its end. The message never repeats a URL: it may hold a secret."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError("URL: expected http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ConfigError(
            "URL: expected no user name or password in it; set TRUELEAD_FETCH_USER and "
            "TRUELEAD_FETCH_PASSWORD, or use ~/.netrc"
        )
    if parts.query or parts.fragment:
        raise ConfigError("URL: expected that of a folder, found a query or fragment")
    return url.rstrip("/") + "/"
