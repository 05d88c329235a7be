"""`make demo-open-bandit`: real logs through the gate of offline validation.

Prints the off-policy numbers of each direction beside the published ones, and the verdict.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sample_logs import open_bandit

REFERENCE = {"ips": (0.00455288, 0.02), "snips": (0.00477583, 0.02), "ess": (1639.5, 0.03)}
SHOWN = ("ips", "snips", "lift", "ess", "weight_mean", "weight_max", "missing_propensity_share")
NOT_ESTIMABLE = ("low_ess", "propensity", "few_events", "missing_propensity")


def main() -> int:
    """0 when the numbers and verdicts are as they should be, 1 when not, 4 without the data."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            wheel = open_bandit.download(Path(scratch) / "download")
        except open_bandit.NotAvailable as error:
            print(error, file=sys.stderr)
            return 4
        wrong = [*_forward(Path(scratch), wheel), *_backward(Path(scratch), wheel)]
    for sentence in wrong:
        print(f"NOT AS EXPECTED  {sentence}")
    print("all as expected" if not wrong else f"{len(wrong)} not as expected")
    return 1 if wrong else 0


def _forward(folder: Path, wheel: Path) -> list[str]:
    """random → bts: estimable, within the published numbers, and the gate holds."""
    print("== random/all logs: what would Bernoulli Thompson sampling have earned?\n")
    values, verdict = _judged("random_all", folder, wheel)
    wrong = []
    for metric, (expected, share) in REFERENCE.items():
        off = abs(values[metric] / expected - 1)
        print(f"   {metric:<6} {values[metric]:.8g}, published {expected:.8g}: {off:.2%} apart")
        if not off <= share:
            wrong.append(f"{metric} is {values[metric]:.8g}, more than {share:.0%} from {expected}")
    print()
    if verdict.exit_code != 3:
        wrong.append(f"random/all should hold (exit code 3), not {verdict.exit_code}")
    return wrong


def _backward(folder: Path, wheel: Path) -> list[str]:
    """bts → uniform: the logging policy hardly ever takes most actions, so nothing can be said."""
    print("== bts/women logs: what would a uniform policy have earned?\n")
    _, verdict = _judged("bts_women", folder, wheel)
    print("(In the campaign `all` the smallest propensity is larger, and the numbers are weak, not void.)\n")
    reasons = {f.item: f.reason for f in verdict.findings}
    refused = all(reasons.get(item) in NOT_ESTIMABLE for item in ("held_out_value", "beats_baseline"))
    return [] if refused else [f"bts to uniform should be refused as not estimable, not {reasons}"]


def _judged(name: str, folder: Path, wheel: Path):  # type: ignore[no-untyped-def]
    from gates.table import table
    from monitor import config as configuration
    from monitor import jobs, verdicts
    from monitor.evaluate import table as words

    log = open_bandit.LOGS[name]
    loaded = configuration.load(open_bandit.write(name, folder / name, wheel) / "monitor.yaml")
    now = datetime.now(UTC)
    jobs.run(loaded, now=now, as_of=now, dry=False, environ={})
    print(words(verdicts.evaluate(loaded, stage="offline", as_of=now, every=True), width=100))
    evidence = verdicts.evidence_values(loaded, stage="offline", as_of=now, metrics=SHOWN)
    for metric, estimate in evidence.items():
        interval = f" ({estimate.low:.5g} to {estimate.high:.5g})" if estimate.low < estimate.high else ""
        reason = f"  not estimable: {estimate.reason}" if estimate.reason else ""
        print(f"   {metric:<25} {estimate.value:.6g}{interval}{reason}")
    print()
    verdict = verdicts.gate(loaded, stage="offline", as_of=now)
    print(table(verdict, width=100))
    assert log.candidate == verdict.policy
    return {metric: estimate.value for metric, estimate in evidence.items()}, verdict


if __name__ == "__main__":
    sys.exit(main())
