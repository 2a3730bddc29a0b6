"""What a flag serves in one environment, as the page shows and edits it."""

from dataclasses import dataclass
from typing import Any

from flags.dashboard.conditions import Node, empty_comparison, group_of
from flags.models import Flag, FlagConfiguration

WHOLE = 100_000  # thousandths of a percent: docs/evaluation.md, "Splits"


@dataclass(frozen=True)
class Share:
    """One variation's part of a split; `start` and `width` draw it, in percent."""

    variation: str
    weight: int | None
    start: float
    place: int

    @property
    def percent(self) -> str:
        """As `12.5`; nothing where the variation has no share."""
        return "" if self.weight is None else f"{self.weight / 1000:.3f}".rstrip("0").rstrip(".")

    @property
    def width(self) -> float:
        return (self.weight or 0) / 1000


@dataclass(frozen=True)
class Serve:
    """A fixed variation, or a split."""

    variation: str | None
    by: str
    salt: str
    shares: list[Share]
    place: int  # of the variation among the flag's, which gives it its colour
    # Whether `by` is written down; unwritten is the targeting key, and saving leaves it so.
    names_by: bool = True

    @property
    def is_split(self) -> bool:
        return self.variation is None

    @property
    def written(self) -> list[Share]:
        return [share for share in self.shares if share.weight is not None]

    @property
    def rest(self) -> str:
        """What the shares leave over, in percent; nothing when they are whole."""
        left = WHOLE - sum(share.weight or 0 for share in self.shares)
        return f"{left / 1000:g}" if self.is_split and left else ""


@dataclass(frozen=True)
class RuleView:
    id: str
    name: str
    when: Node
    serve: Serve


@dataclass(frozen=True)
class TargetView:
    variation: str
    by: str
    keys: list[str]
    place: int
    names_by: bool = True


@dataclass(frozen=True)
class Targeting:
    """A configuration ready to be read or edited."""

    version: int
    enabled: bool
    off_variation: str | None
    off_place: int
    prerequisites: list[dict[str, Any]]
    targets: list[TargetView]
    rules: list[RuleView]
    fallthrough: Serve
    variations: list[str]

    @property
    def new_rule(self) -> RuleView:
        """What "add a rule" puts down."""
        when = Node(kind="group", parts=[empty_comparison()], is_bare=True)
        return RuleView(
            id="", name="", when=when, serve=_fixed(self.variations[0], self.variations)
        )

    @property
    def new_target(self) -> TargetView:
        return TargetView(variation=self.variations[0], by="targetingKey", keys=[], place=0)


def targeting_of(flag: Flag, configuration: FlagConfiguration) -> Targeting:
    variations = [variation["key"] for variation in flag.variations]
    return Targeting(
        version=configuration.version,
        enabled=configuration.enabled,
        off_variation=configuration.off_variation,
        off_place=_place(configuration.off_variation, variations),
        prerequisites=configuration.prerequisites,
        targets=[
            TargetView(
                variation=target["variation"],
                by=target.get("by", "targetingKey"),
                keys=target["keys"],
                place=_place(target["variation"], variations),
                names_by="by" in target,
            )
            for target in configuration.targets
        ],
        rules=[
            RuleView(
                id=rule["id"],
                name=rule.get("name") or "",
                when=group_of(rule["when"]),
                serve=_serve(rule["serve"], variations),
            )
            for rule in configuration.rules
        ],
        fallthrough=_serve(configuration.fallthrough, variations),
        variations=variations,
    )


def _serve(serve: dict[str, Any], variations: list[str]) -> Serve:
    if "split" not in serve:
        return _fixed(serve["variation"], variations)
    split = serve["split"]
    start, shares = 0.0, []
    for variation, weight in split["shares"]:
        shares.append(Share(variation, weight, start, _place(variation, variations)))
        start += weight / 1000
    return Serve(
        variation=None,
        by=split.get("by", "targetingKey"),
        salt=split["salt"],
        shares=shares + _unused(variations, {variation for variation, _ in split["shares"]}),
        place=0,
        names_by="by" in split,
    )


def _fixed(variation: str, variations: list[str]) -> Serve:
    return Serve(
        variation=variation,
        by="targetingKey",
        salt="",
        shares=_unused(variations, set()),
        place=_place(variation, variations),
    )


def _unused(variations: list[str], used: set[str]) -> list[Share]:
    return [
        Share(variation, None, 0, place)
        for place, variation in enumerate(variations)
        if variation not in used
    ]


def _place(variation: str | None, variations: list[str]) -> int:
    """Where the variation stands among the flag's, in steps of eight colours."""
    return variations.index(variation) % 8 if variation in variations else 0
