"""The registry of triggers: pure functions from readings to a firing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from monitor.metrics.estimate import Reading
from monitor.triggers import constraint, reward_drop, state_shift
from monitor.triggers.firing import Firing

Series = Mapping[str, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class Trigger:
    """A rule over windows and what it needs: the metrics it reads, what it watches, how many trips
    (need, of) confirm it, whether it waits for rewards to mature, the class of its parameters.

    `letter_confirm` replaces `confirm` where `state["mode"]` is "letter" and windows are shorter
    than a day. `judged` tells windows that were looked at from those that were merged into a later
    one: only the former count in a confirmation; None where every window is judged.
    """

    function: Callable[[Series, Any], Firing | None]
    metrics: tuple[str, ...]
    per: Literal["policy", "constraint", "feature"]
    confirm: tuple[int, int]
    matures: bool
    params: type
    letter_confirm: tuple[int, int] | None = None
    judged: Callable[[Series, Any], bool] | None = None

    def confirmation(self, firing: Firing) -> tuple[int, int]:
        """(need, of) for the mode that `firing` was made in."""
        short = firing.window_end - firing.window_start < timedelta(hours=24)
        if self.letter_confirm and firing.state.get("mode") == "letter" and short:
            return self.letter_confirm
        return self.confirm


TRIGGERS: dict[str, Trigger] = {
    "reward_drop": Trigger(
        reward_drop.reward_drop,
        ("reward_mean", "reward_sd"),
        "policy",
        (3, 4),
        True,
        reward_drop.RewardDropParams,
        letter_confirm=(3, 3),
        judged=reward_drop.judged,
    ),
    "constraint": Trigger(
        constraint.constraint,
        ("violation_rate",),
        "constraint",
        (1, 1),
        False,
        constraint.ConstraintParams,
    ),
    "state_shift": Trigger(
        state_shift.state_shift,
        ("state_js", "state_js_p", "state_js_limit"),
        "feature",
        (2, 3),
        False,
        state_shift.StateShiftParams,
    ),
}
