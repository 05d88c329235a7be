"""A team with logs of its own: from a foreign file to a first verdict with four commands."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.cli import app

START = datetime(2025, 9, 1, tzinfo=UTC)
DAYS, EACH_HOUR = 18, 8
ARMS, INCUMBENT, CANDIDATE = "abc", (0.5, 0.3, 0.2), (0.4, 0.4, 0.2)
END = f"{START + timedelta(days=DAYS):%Y-%m-%d}T00:15"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with other column names, epoch milliseconds and log-probabilities; a candidate in shadow."""
    folder = tmp_path_factory.mktemp("team")
    (folder / "serving").mkdir()
    rng = random.Random(11)
    with (folder / "serving/decisions.jsonl").open("w") as file:
        for i in range(DAYS * 24 * EACH_HOUR):
            arm, shadow = rng.choices(range(3), INCUMBENT)[0], rng.choices(range(3), CANDIDATE)[0]
            row = {
                "reqId": f"r{i:06d}",
                "tsMs": int((START + i * timedelta(hours=1) / EACH_HOUR).timestamp() * 1000),
                "servedBy": "rules",
                "customer": f"c{rng.randrange(900)}",
                "chosenArm": ARMS[arm],
                "logp": math.log(INCUMBENT[arm]),
                "shadow": {"arm": ARMS[shadow], "logp": math.log(CANDIDATE[arm])},
                "context": {"age": round(rng.gauss(40, 9), 1), "device": rng.choice(["phone", "desk"])},
                "converted": int(rng.random() < (0.2, 0.3, 0.1)[arm]),
                "complaint": int(rng.random() < 0.01),
            }
            file.write(json.dumps(row) + "\n")
    return folder


def test_from_a_foreign_log_to_a_verdict_with_four_commands(team, monkeypatch) -> None:
    monkeypatch.chdir(team)
    runner = CliRunner()

    def call(*words: str) -> tuple[int, str]:
        done = runner.invoke(app, list(words))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout

    code, said = call("init", "serving")
    assert code == 0
    assert "propensity = logp" in said and "decision_id = reqId" in said
    assert f"monitor gate --stage shadow --as-of {END}" in said

    code, said = call("run")
    assert code == 0
    assert f"{DAYS * 24 * EACH_HOUR} loaded" in said and "0 rejected; 0 faults" in said
    assert "baseline in place" in said

    code, said = call("gate", "--stage", "shadow", "--as-of", END, "--format", "json")
    verdict = json.loads(said)
    outcomes = {(f["item"], f["outcome"]) for f in verdict["findings"]}
    assert code == verdict["exit_code"] == 3
    assert ("recommendations_logged", "PASS") in outcomes
    assert ("large_disagreement", "PASS") in outcomes
    assert ("review", "INCONCLUSIVE") in outcomes
    assert not {o for _, o in outcomes} & {"ERROR", "FAIL"}

    code, said = call("doctor", "--as-of", END)
    assert code == 3
    assert "BLOCKS offline_validation: held_out_value cannot pass yet" in said
    assert "acting: observe" in said and "monitor arm rollback" in said
    assert "mean weight" not in said and "placebo" not in said and "journal is damaged" not in said

    _, said = call("baseline", "show")
    assert "rules, 2025-09-01T00:00 to 2025-09-07T00:00" in said and "age: numeric, 20 bins" in said
    _, said = call("baseline", "diff", "--as-of", END)
    assert "age: D_JS 0.0" in said and "% then" not in said

    code, said = call("arm", "rollback", "--by", "ann", "--reason", "two quiet weeks")
    assert code == 0 and "(it was observe)" in said
    assert "acting: rollback (armed; monitor.yaml says observe)" in call("status")[1]
    about = ["--stage", "shadow", "--since", "2025-09-01", "--by", "ann", "--reason", "it was there"]
    code, said = call("adopt", *about)
    assert code == 0 and "shadow_mode since 2025-09-01" in said
