"""What the archive and the checks need to be told."""

from pathlib import Path
from urllib.parse import unquote

from attrs import field, frozen
from attrs.validators import ge, gt


@frozen(kw_only=True)
class AcmeSettings:
    """The vendor's folder."""

    path: Path = field(metadata={"help": "folder with one ZIP file for each study"})
    max_object_bytes: int = field(
        default=4 * 2**30, validator=ge(1), metadata={"help": "an object that would unpack to more is refused"}
    )


@frozen(kw_only=True)
class OverlaySettings:
    """How bad a lost overlay is."""

    blocks: bool = field(default=True, metadata={"help": "whether a lost overlay keeps a wave from being ready"})


@frozen(kw_only=True)
class ViewerSettings:
    """How long people wait."""

    max_seconds: float = field(
        default=10.0, validator=gt(0.0), metadata={"help": "a study that takes longer to open is worth a look"}
    )


@frozen(kw_only=True)
class AccessionSettings:
    """What is no number."""

    ignored: tuple[str, ...] = field(default=(), metadata={"help": "values that stand for no number, such as 'NONE'"})


def acme_from_url(url: str) -> AcmeSettings:
    """Settings from ``acme:PATH``.

    Raises:
        ValueError: there is no path.
    """
    path = unquote(url.partition(":")[2])
    if not path:
        raise ValueError("an Acme folder is written acme:PATH")
    return AcmeSettings(path=Path(path))
