"""What a DICOMweb archive needs to be told, apart from the code that opens it."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

from vna_lifecycle.plugin.secret import SecretReference

_PREFIX: Final = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")


def _is_url(_: object, attribute: Attribute[Any], value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a URL such as 'https://pacs.example/dicom-web'")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold credentials; use token, or user and password")


def _is_prefix(_: object, attribute: Attribute[Any], value: str) -> None:
    if value and (not _PREFIX.fullmatch(value) or ".." in value.split("/")):
        raise ValueError("must be a path below the URL, such as 'qido-rs', without slashes at its ends")


def _between(least: float, most: float) -> Any:
    def validate(_: object, attribute: Attribute[Any], value: float) -> None:
        if not least <= value <= most:
            raise ValueError(f"must be from {least:,} to {most:,}")

    return validate


def _prefix(service: str) -> Any:
    text = f"Path below the URL where {service} is found, such as '{service.lower()}'; empty: at the URL itself."
    return field(default="", validator=_is_prefix, metadata={"help": text})


def _secret(what: str) -> Any:
    return field(default=None, metadata={"help": f"{what}, as 'env:NAME' or 'file:PATH'."})


def _number(default: float, least: float, most: float, text: str) -> Any:
    return field(default=default, validator=_between(least, most), metadata={"help": text})


@frozen(kw_only=True)
class DicomwebSettings:
    """An archive that is searched by QIDO-RS, read by WADO-RS and written by STOW-RS (PS3.18).

    Nothing is ever sent to another host, port or scheme than the URL's, wherever answers point.
    """

    url: str = field(validator=_is_url, metadata={"help": "Where its studies are, without '/studies'."})
    qido_prefix: str = _prefix("QIDO-RS")
    wado_prefix: str = _prefix("WADO-RS")
    stow_prefix: str = _prefix("STOW-RS")
    token: SecretReference | None = _secret("Bearer token; a renewed one is noticed")
    user: SecretReference | None = _secret("User name for basic authentication")
    password: SecretReference | None = _secret("Password for basic authentication")
    tls_ca: Path | None = field(
        default=None, metadata={"help": "The authority's certificates (PEM); without it, those of the machine."}
    )
    tls_certificate: Path | None = field(default=None, metadata={"help": "Our certificate, with its chain (PEM)."})
    tls_key: Path | None = field(default=None, metadata={"help": "The private key of tls_certificate (PEM)."})
    tls_minimum: Literal["1.2", "1.3"] = field(default="1.2", metadata={"help": "Oldest version of TLS."})
    connect_timeout: float = _number(10.0, 0.1, 3_600, "Seconds to wait for a connection.")
    read_timeout: float = _number(60.0, 0.1, 86_400, "Seconds to wait for each piece of an answer.")
    attempts: int = _number(4, 1, 10, "How often a request is made, within half a minute, before it is put off.")
    connections: int = _number(4, 1, 64, "Most connections at the same time, in each process.")
    page_size: int = _number(500, 10, 10_000, "Answers that are asked for at a time.")
    studies_per_part: int = _number(50, 5, 5_000, "Studies above which a range of dates is split.")
    trusted_answers: int = _number(50, 1, 10_000, "A page with fewer answers than this is taken as the last.")
    metadata: Literal["when-needed", "never"] = field(
        default="when-needed",
        metadata={
            "help": "Whether series are asked for their metadata by WADO-RS where answers to searches lack SOP class "
            "or modality."
        },
    )
    largest_object: int = _number(
        64 << 30, 1 << 20, 1 << 50, "Most bytes of one object; what does not end before is given up."
    )
    objects_per_store: int = _number(50, 1, 10_000, "Most objects in one STOW-RS request.")
    bytes_per_store: int = _number(
        64 << 20, 1, 1 << 40, "Most bytes in one STOW-RS request; a larger object has one of its own."
    )

    def __attrs_post_init__(self) -> None:
        """See that settings that belong together are together, and that no credentials go over the wire in clear."""
        parts = urlsplit(self.url)
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        if self.token is not None and self.user is not None:
            raise ValueError("either token, or user and password")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if parts.scheme == "http":
            if self.tls_ca or self.tls_certificate:
                raise ValueError("TLS settings need a URL that begins with https://")
            if (self.token or self.user) and not _is_loopback(parts.hostname or ""):
                raise ValueError("credentials need a URL that begins with https://")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def dicomweb_from_url(url: str) -> DicomwebSettings:
    """Settings from ``https://HOST:PORT/PATH``.

    Raises:
        ValueError: it is no such URL, or holds credentials.
    """
    return DicomwebSettings(url=url)
