"""Any metric of any window in a stretch of hours: sums in, estimates out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cached_property

from monitor.config import Config
from monitor.metrics import METRICS
from monitor.metrics.ab import BEFORE, CONTROL
from monitor.metrics.estimate import Estimate, missing
from monitor.metrics.gaps import DECILES
from monitor.metrics.sums import Settings, Sums
from monitor.sums import FAMILIES
from monitor.sums.baseline import Baseline
from monitor.sums.constraint import ENVELOPE
from monitor.sums.family import clip
from monitor.sums.read import Index, between, empty
from monitor.sums.reward_age import ages
from monitor.sums.tails import SIDES

KEYS: dict[str, Callable[[Config], list[str]]] = {
    "policy": lambda config: [""],
    "pair": lambda config: [""],
    "log": lambda config: [""],
    "constraint": lambda config: [*config.constraints, *(ENVELOPE + d for d in config.envelope)],
    "pair_constraint": lambda config: list(config.constraints),
    "cost": lambda config: [k for k, c in config.constraints.items() if c.measure == "mean_cost"],
    "episode": lambda config: [k for k, c in config.constraints.items() if c.measure == "episode_cost"],
    "feature": lambda config: config.state.features,
    "predicted": lambda config: config.predicted,
    "age": ages,
    "week": lambda config: ["1", "2", "3", "4"] if config.experiment else [],
    "decile": lambda config: [str(tenth + 1) for tenth in range(DECILES)],
    "dimension": lambda config: config.action_dims,
    # Segments are not declared; those that a log has stand in its sums.
    "segment": lambda config: [],
    "state_tail": lambda config: [f"{f} {side}" for f in config.state.numeric for side in SIDES],
    "action": lambda config: ["", *config.action_dims],
}
DAY = 24
MATCHED = {"before_after": BEFORE, "switchback": CONTROL}


class Sheet:
    """Sums of a stretch of hours; families are loaded when a metric first asks for them.

    `load(family)` gives the family's sums by (policy, candidate, key). Nothing missing raises:
    a metric without its baseline is `baseline_missing`, one without rows is `no_data`. `n_star` asks
    for confidence sequences, as `Settings` has it.
    """

    def __init__(
        self,
        load: Callable[[str], Index],
        config: Config,
        baseline: Baseline | None,
        n_star: float | None = None,
    ) -> None:
        self._load = load
        self._loaded: dict[str, Index] = {}
        self.config = config
        self.baseline = baseline
        self.n_star = n_star
        self._per_feature: dict[str, Settings] = {}
        self._window: tuple[int, int] | None = None
        self._cut: dict[tuple[str, str, str, str], Sums] = {}

    def index(self, family: str) -> Index:
        if family not in self._loaded:
            self._loaded[family] = self._load(family)
        return self._loaded[family]

    def policies(self) -> list[str]:
        return sorted({policy for policy, _, _ in self.index("reward")})

    def pairs(self) -> list[tuple[str, str]]:
        return sorted({(policy, candidate) for policy, candidate, _ in self.index("pair")})

    def segments(self, policy: str, candidate: str) -> list[str]:
        """Segments with decisions of `policy` that `candidate` recommended for."""
        return sorted(key for p, c, key in self.index("segments") if (p, c) == (policy, candidate))

    def keys(self, metric: str) -> list[str]:
        """The constraints, features, ages … that a metric is measured for; [''] where it has no key."""
        return KEYS[METRICS[metric].per](self.config)

    def logged(self, metric: str) -> bool:
        """Whether the log may have what the metric is made of: no readings are made of what it has not."""
        return not self._unlogged & {*METRICS[metric].families}

    @cached_property
    def _unlogged(self) -> set[str]:
        frozen = self.baseline.frozen if self.baseline else None
        optional = {name: family for name, family in FAMILIES.items() if family.optional}
        return {name for name, family in optional.items() if family.select(self.config, frozen) is None}

    def cells(self, family: str, policy: str, candidate: str, key: str, start: int, end: int) -> Sums:
        """Sums of one family for hours start ≤ hour < end; empty where there are none.

        Those of the newest window are kept, so that metrics share what they compute from them.
        """
        if self._window != (start, end):
            self._window, self._cut = (start, end), {}
        shape = FAMILIES[family]
        paired = shape.by_candidate or (family == "units" and candidate)
        place = (family, policy, candidate if paired else "", key if shape.outer else "")
        if place not in self._cut:
            found = self.index(family).get(place[1:])
            begin, last = 0 if shape.from_start else start, end - DAY + 1 if shape.whole_days else end
            self._cut[place] = empty(family) if found is None else between(found, begin, max(begin, last))
        return self._cut[place]

    def estimate(
        self, metric: str, policy: str, start: int, end: int, candidate: str = "", key: str = ""
    ) -> Estimate:
        """One metric over hours start ≤ hour < end."""
        row = METRICS[metric]
        settings = self._settings_for(row.per, key)
        place = "" if row.per == "week" else key  # a week is a column of its sums, not a key
        states: dict[str, Sums] = {}
        for family in row.families:
            if family == "baseline_sample":
                if self.baseline is None or self.baseline.sample is None:
                    return missing("baseline_missing")
                states[family] = self.baseline.sample
                joint = tuple(self.baseline.interior_bins(f) for f in self.baseline.features)
                settings = replace(settings, joint_bins=joint)
            elif family == "baseline":
                if self.baseline is None or key not in self.baseline.features:
                    return missing("baseline_missing")
                states["baseline"] = self.baseline.sums(key)
                settings = self._settings_of(key)
            else:
                states[family] = self.cells(family, policy, candidate, place, start, end)
        if row.per == "segment":
            settings = replace(settings, at_once=max(1, len(self.segments(policy, candidate))))
        return row.function(states, settings)

    @cached_property
    def settings(self) -> Settings:
        config, body = self.config, self.baseline.body if self.baseline else {}
        low, high = config.reward.range
        return Settings(
            reward_low=low,
            reward_high=high,
            time_blocks=time_blocks(config),
            independent=config.unit == "decision",
            versioned=config.maps("policy_version"),
            n_actions=body.get("n_actions") or body.get("actions"),
            n_tests=max(1, len(config.state.features)),
            episodes=config.maps("episode_id"),
            discount=config.reward.discount,
            baseline_frozen=self.baseline is not None,
            planned_share=config.experiment.share if config.experiment else None,
            matched_arm=MATCHED.get(config.experiment.design) if config.experiment else None,
            season_hours=7 * DAY if config.season == "7d" else DAY,
            n_star=self.n_star,
            density=config.log.propensity == "density",
            window_hours=int(config.window / timedelta(hours=1)),
            moments=self.baseline.moments if self.baseline else {},
            clip=clip(config, self.baseline.weight_clip if self.baseline else None),
        )

    def _settings_for(self, per: str, key: str) -> Settings:
        if per in ("constraint", "cost", "pair_constraint") and key in self.config.constraints:
            rule = self.config.constraints[key]
            mean, whole = (rule.measure == name for name in ("mean_cost", "episode_cost"))
            return replace(self.settings, limit=rule.limit, mean_cost=mean, episode_cost=whole)
        if per == "predicted" and self.baseline:
            return replace(self.settings, feature_sd=self.baseline.feature_sd(key))
        if per == "state_tail":
            return replace(self.settings, at_once=max(1, len(KEYS[per](self.config))))
        if per == "week" and key:
            return replace(self.settings, week=int(key))
        if per == "decile" and key:
            return replace(self.settings, decile=int(key))
        return self.settings

    def _settings_of(self, feature: str) -> Settings:
        if feature not in self._per_feature:
            assert self.baseline is not None
            maxima: Mapping[int, float] = self.baseline.block_maxima(feature)
            self._per_feature[feature] = replace(
                self.settings,
                interior_bins=self.baseline.interior_bins(feature),
                block_maxima=maxima,
                n_blocks=self.baseline.n_blocks(feature),
            )
        return self._per_feature[feature]


def time_blocks(config: Config) -> bool:
    """Whether units are blocks of time (one plant), so that uncertainty comes from days alone."""
    if config.unit == "decision":
        return False
    if config.unit is not None:
        return config.unit.column is None
    named = {"unit_id", "episode_id"}
    decisions = [s for s in config.log.sources if s.kind == "decisions"]
    return not any(named & set(s.columns) or not s.columns for s in decisions)
