"""What can be set of each built-in check: the keys of its ``[checks.NAME]`` table in program.toml."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt, le, optional

from vna_lifecycle.ports import Depth


@frozen(kw_only=True)
class CompletenessSettings:
    """Nothing to set."""


@frozen(kw_only=True)
class IdentitySettings:
    """Nothing to set."""


@frozen(kw_only=True)
class GroupingSettings:
    """Nothing to set."""


@frozen(kw_only=True)
class CollisionsSettings:
    """Nothing to set."""


@frozen(kw_only=True)
class FidelitySettings:
    """How long a reader may wait."""

    max_seconds: float | None = field(
        default=None,
        validator=optional(gt(0.0)),
        metadata={"help": "how long retrieving a study may take a reader; none: it is only told"},
    )


@frozen(kw_only=True)
class ValuesSettings:
    """Nothing to set."""


@frozen(kw_only=True)
class DescriptionsSettings:
    """How many priors may be missed."""

    max_missed_share: float = field(
        default=0.0,
        validator=[ge(0.0), le(1.0)],
        metadata={"help": "share of relevant priors that a relevance rule may miss without a finding"},
    )


@frozen(kw_only=True)
class ReadabilitySettings:
    """Nothing to set."""


@frozen(kw_only=True)
class UnexplainedChangeSettings:
    """How closely to look. Reading every byte is what proves; it takes as long as reading the wave back did."""

    depth: Depth = field(
        default=Depth.BYTES,
        metadata={"help": "'bytes' reads every object again; 'listing' takes the target's word for UIDs and sizes"},
    )


@frozen(kw_only=True)
class TruthSettings:
    """Nothing to set: `[sources.NAME] truth` says where the extract is."""


@frozen(kw_only=True)
class AttributeValuesSettings:
    """Nothing to set."""
