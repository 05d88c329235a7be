"""Real logs: the Open Bandit data, as decision logs: `python -m sample_logs.open_bandit [NAME…] -o DIR`.

Fashion recommendations shown on a shopping site in one week of November 2019, by a uniform policy
(`random`) and by Bernoulli Thompson sampling (`bts`), in three campaigns. The PyPI package obp
carries 10 000 rows of each and the prior of the Thompson sampler; pip downloads it, this script
reads the files in it and never imports it. The data is not part of this project.

Saito, Aihara, Matsutani, Narita 2021, "Open Bandit Dataset and Pipeline", NeurIPS Datasets track.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import subprocess
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.csv
from ruamel.yaml import YAML

from sample_logs.algorithms import top_k_probabilities

REQUIREMENT = "obp==0.4.1"
WHEEL = "obp-0.4.1-py3-none-any.whl"
WHEEL_SHA256 = "87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208"
POSITIONS = 3
DRAWS = 100_000
SEED = 12345
COLUMNS = [
    *("timestamp", "item_id", "position", "click", "propensity_score"),
    *("user_feature_0", "user_feature_1", "user_feature_2", "user_feature_3"),
]


class NotAvailable(Exception):
    """The data could not be had; the message is a finished sentence."""


@dataclass(frozen=True)
class RealLog:
    """One file of the data: who decided, in which campaign, and which policy it is asked about."""

    policy: Literal["random", "bts"]
    campaign: Literal["all", "men", "women"]
    candidate: Literal["bts", "uniform"]


LOGS: dict[str, RealLog] = {
    "random_all": RealLog("random", "all", "bts"),
    "random_men": RealLog("random", "men", "bts"),
    "random_women": RealLog("random", "women", "bts"),
    "bts_all": RealLog("bts", "all", "uniform"),
    "bts_men": RealLog("bts", "men", "uniform"),
    "bts_women": RealLog("bts", "women", "uniform"),
}


def main(arguments: list[str] | None = None) -> int:
    """Write the named logs, all by default. Returns 0, 2 (unknown name) or 4 (no data to be had)."""
    parser = argparse.ArgumentParser(
        prog="python -m sample_logs.open_bandit", description="Write the Open Bandit data as decision logs."
    )
    known = ", ".join(LOGS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {known}; all of them by default")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where the package is kept [DIR/download]")
    given = parser.parse_args(arguments)
    for name in given.names:
        if name not in LOGS:
            near = difflib.get_close_matches(name, LOGS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {known}"
            print(f"Open Bandit log '{name}' is not known; {hint}", file=sys.stderr)
            return 2
    try:
        wheel = download(given.cache or given.output / "download")
    except NotAvailable as error:
        print(error, file=sys.stderr)
        return 4
    for name in given.names or LOGS:
        print(write(name, given.output / name, wheel))
    return 0


def download(cache: Path) -> Path:
    """The obp wheel in `cache`, fetched with pip when it is not there. Raises NotAvailable.

    Only the wheel with the known SHA-256 is taken: other bytes would be other numbers.
    """
    wheel = cache / WHEEL
    if not wheel.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", REQUIREMENT, "--no-deps", "--only-binary=:all:"]
        command += ["--dest", str(cache), "--quiet", "--disable-pip-version-check", "--retries", "1"]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode or not wheel.exists():
            said = (finished.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise NotAvailable(
                f"The Open Bandit logs were not written because pip could not download {REQUIREMENT} "
                f"({said}); go online, or put {WHEEL} into {cache}, and run this again."
            )
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise NotAvailable(
            f"The Open Bandit logs were not written because {wheel} has the SHA-256 {digest[:12]}…, "
            f"not {WHEEL_SHA256[:12]}…; delete it and run this again."
        )
    return wheel


def write(name: str, directory: Path, wheel: Path) -> Path:
    """Write `logs/decisions.csv` and `monitor.yaml` of the named log into `directory`; returns it."""
    log = LOGS[name]
    shown = read_log(wheel, log)
    if log.candidate == "bts":
        table = thompson_probabilities(wheel, log.campaign)
        weight = table[shown["item_id"].to_numpy(), shown["position"].to_numpy() - 1]
        n_items = len(table)
        # A draw of the sampler is a ranking: each of its positions has a distribution of its own.
        shares = table / table.sum(axis=0)
        by_position = [f"[{', '.join(f'{p:.8g}' for p in column)}]" for column in shares.T]
    else:
        n_items = len(read_prior(wheel, log.campaign)[0])
        weight = np.full(len(shown), 1 / n_items)
        by_position = [f"[{', '.join([f'{1 / n_items:.12g}'] * n_items)}]"] * POSITIONS
    ids = np.char.add(f"{name}-", np.char.zfill(np.arange(len(shown)).astype(str), 5))
    shown = shown.add_column(0, "event_id", pa.array(ids))
    shown = shown.append_column("n_items", pa.array(np.full(len(shown), n_items)))
    shown = shown.append_column("candidate_propensity", pa.array(weight))
    probs = np.array(by_position, dtype=object)[shown["position"].to_numpy() - 1]
    shown = shown.append_column("candidate_probs", pa.array(probs.tolist()))
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    pyarrow.csv.write_csv(shown, directory / "logs" / "decisions.csv")
    config = (Path(__file__).parent / f"open_bandit_{log.policy}.yaml").read_text("utf-8")
    actions = f"actions: [{', '.join(str(item) for item in range(n_items))}]\n"
    (directory / "monitor.yaml").write_text(config + actions, "utf-8")
    return directory


def read_log(wheel: Path, log: RealLog) -> pa.Table:
    """The 10 000 rows of one file, COLUMNS only; `timestamp` stays the text it is."""
    member = f"obp/dataset/obd/{log.policy}/{log.campaign}/{log.campaign}.csv"
    options = pyarrow.csv.ConvertOptions(include_columns=COLUMNS, column_types={"timestamp": pa.string()})
    with ZipFile(wheel) as archive:
        return pyarrow.csv.read_csv(BytesIO(archive.read(member)), convert_options=options)


def read_prior(wheel: Path, campaign: str) -> tuple[np.ndarray, np.ndarray]:
    """α and β (n_items,) of the Beta priors with which production's Thompson sampler ran."""
    with ZipFile(wheel) as archive:
        priors = YAML(typ="safe", pure=True).load(archive.read("obp/policy/conf/prior_bts.yaml"))
    return np.array(priors[campaign]["alpha"]), np.array(priors[campaign]["beta"])


def thompson_probabilities(wheel: Path, campaign: str) -> np.ndarray:
    """P(item at position) of the Thompson sampler, (n_items, POSITIONS), from DRAWS seeded draws."""
    alpha, beta = read_prior(wheel, campaign)
    return top_k_probabilities(alpha, beta, POSITIONS, DRAWS, np.random.default_rng(SEED))


if __name__ == "__main__":
    sys.exit(main())
