"""Where the candidate stands when somebody wants to promote it, and why it may not go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from gates import passes, stages
from gates.checklist import Checklist
from gates.checklist import load as load_checklist
from gates.evidence import Event as AnyEvent
from gates.stages import short_name
from monitor.config import Loaded
from monitor.incidents import unresolved
from monitor.journal import Event
from monitor.verdicts import checklists_of


class Refused(Exception):
    """The policy may not go there now; the sentence says why and what to do."""


@dataclass(frozen=True)
class Place:
    """Where the candidate stands when somebody wants to promote it, and what that is judged by."""

    loaded: Loaded
    events: Sequence[Event]
    at: datetime
    freeze: Mapping[str, str]

    @property
    def policy(self) -> str:
        return self.loaded.config.policies.candidate

    @property
    def pass_expires(self) -> timedelta:
        return self.loaded.config.pass_expires

    @property
    def standing(self) -> stages.Standing | None:
        return stages.standing(self.events, self.policy, self.at)

    @property
    def entry(self) -> AnyEvent | None:
        return stages.entry(self.events, self.policy, self.at)

    def checklist(self, stage: str) -> Checklist:
        return load_checklist(stage, checklists_of(self.loaded))

    def judged_by(self, stage: str) -> dict[str, Any]:
        """What a verdict on a stage must be about to count now."""
        return {
            "policy": self.policy, "checklist_hash": self.checklist(stage).hash,
            "config_hash": self.loaded.config.config_hash, "as_of": self.at,
        }  # fmt: skip


def refuse_after_a_drop(place: Place) -> None:
    """An incident that called for a rollback is open, or the last rollback is too recent."""
    waiting = [i for i in unresolved(_until(place)) if i.policy == place.policy and i.action == "rollback"]
    if waiting:
        name = waiting[0].id
        refuse(place, f"incident {name} called for a rollback and is open: see `monitor status`")
    fell = stages.dropped(place.events, place.policy, place.at)
    until = fell.at + place.loaded.config.cooldown if fell else place.at
    if fell is not None and until > place.at:
        what = "overridden" if fell.kind == "override" else "rolled back"
        wait = f"it cools down until {until:%Y-%m-%d %H:%M} UTC"
        then = "then it needs a PASS of shadow_mode from after that"
        refuse(place, f"it was {what} on {fell.at:%Y-%m-%d %H:%M} UTC: {wait}, {then}")


def refuse_in_the_past(place: Place) -> None:
    """With --as-of: what was decided after that time, or speaks against the policy, is not passed over."""
    later = [
        e
        for e in place.events
        if e.at > place.at
        and (
            (e.kind in stages.ROAD and place.policy in (e.subject, e.body.get("policy")))
            or (passes.counts(e) and e.subject == place.policy and e.body.get("exit_code") in (1, 5))
            or (e.kind == "incident" and _called_for_rollback(e.body, place.policy))
        )
    ]
    if later:
        said = f"event {later[0].seq} ({later[0].kind}) of {later[0].at:%Y-%m-%d %H:%M} UTC"
        refuse(place, f"--as-of lies before {said}, which counts: give a later one or none")


def _called_for_rollback(body: Mapping[str, Any], policy: str) -> bool:
    return body.get("policy") == policy and body.get("action") == "rollback"


def no_pass(
    place: Place, stage: str, since: datetime | None, but: frozenset[str] = frozenset()
) -> str:
    """Why no verdict on a stage opens its gate, and the command that makes one."""
    do = f"`monitor gate --stage {short_name(stage)}`"
    judged = place.judged_by(stage)
    newest = passes.newest_verdict(place.events, stage=stage, **judged)
    if newest is None:
        other = passes.newest_verdict(place.events, policy=place.policy, stage=stage, as_of=place.at)
        changed = "the checklist or monitor.yaml changed since its last verdict" if other else "it has none"
        return f"it needs a PASS of {stage}, and {changed}: {do}"
    said = f"{newest.body['outcome']} as of {newest.body['as_of'][:16].replace('T', ' ')} UTC"
    as_of = stages.instant_of(newest.body["as_of"])
    if since is not None and as_of is not None and as_of < since:
        return f"the last verdict of {stage} is from before {since:%Y-%m-%d %H:%M} UTC ({said}): {do}"
    if newest.body["exit_code"] == 5:
        return f"a rollback was called for in the evidence of {stage}: see {do}"
    open_items = {f["item"]: None for f in passes.enforcing(newest)
                  if f["outcome"] != "PASS" and f["reason"] not in but}  # fmt: skip
    if open_items:
        return f"{stage} is {said}; it hangs on {', '.join(open_items)}: {do} tells what is needed"
    if newest.body["exit_code"] != 0 and as_of is not None and place.at - as_of < place.pass_expires:
        return f"{stage} is {said}, and this step of the ramp is not done: {do} tells what is needed"
    return f"the last verdict of {stage} has expired ({said}): {do}"


def ramp_of(checklist: Checklist) -> list[float]:
    """The steps of limited deployment, none where the checklist does not judge `blast_radius`."""
    item = next((i for i in checklist.items if i.check == "blast_radius" and i.role != "off"), None)
    return list(item.params["ramp"]) if item else []


def refuse(place: Place, why: str) -> NoReturn:
    """Raise Refused with the sentence that tells why."""
    raise Refused(f"hold: {place.policy} was not promoted: {why}")


def _until(place: Place) -> list[Event]:
    return [e for e in place.events if e.kind in ("incident", "firing", "rollback") and e.at <= place.at]
