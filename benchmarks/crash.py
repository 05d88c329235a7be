"""SIGKILL at random moments of every phase of a pass, again and again, and then: is everything there, once?

`python benchmarks/crash.py --kills 300 [--seed 1]` lets a log grow hour by hour and runs real passes over
it (`run`, and the fast lane's), each in a process of its own, against a Slack that also fails and a rollback
by a real command. Processes are killed with SIGKILL, about an equal share in each phase: ingest, measure,
judge, rollback, alert, just after Slack's answer (`sent`), verdict. In the end all of it is compared with a
twin that was never killed. Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, LAG = timedelta(hours=1), timedelta(minutes=11)
# `sent` lies between Slack's answer and the mark that it came; it is held open for some milliseconds.
PHASES = ("start", "ingest", "measure", "judge", "rollback", "alert", "sent", "verdict")
PER_HOUR = 40
EVERY = 2  # hours between two violations
HARD = 100
KILLS_AN_HOUR = 8
LATE_HOURS = 60
HELD = 0.01
TOKEN = "xoxb-a-token-of-a-benchmark"
SWITCH = """import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
if sys.argv[1] == "set":
    with open(os.path.join(folder, "switched"), "a") as file:
        file.write(sys.argv[3] + "\\n")
    with open(os.path.join(folder, "policy.tmp"), "w") as file:
        json.dump({"policy": sys.argv[2], "incident": sys.argv[3]}, file)
    os.replace(os.path.join(folder, "policy.tmp"), os.path.join(folder, "policy.json"))
else:
    place = os.path.join(folder, "policy.json")
    print(open(place).read() if os.path.exists(place) else "")
"""


@dataclass
class Plant:
    """One installation, its fake Slack, and what happened to it."""

    folder: Path
    slack: str
    kills: Counter[str] = field(default_factory=Counter)
    passes: int = 0

    def prepare(self) -> None:
        (self.folder / "logs").mkdir(parents=True)
        (self.folder / "switch.py").write_text(SWITCH, "utf-8")
        body = {
            "store": "var/monitor",
            "policies": {"candidate": "new", "incumbent": "old", "safe": "old"},
            "log": {"paths": ["logs/*.jsonl"], "format": "jsonl"},
            "unit": {"column": "unit_id"},
            "reward": {"range": [0, 1], "missing_after_maturity": "exclude"},
            "constraints": {f"c{n}": {"limit": 0.0, "margin": 0.0, "hard": True} for n in range(HARD)},
            "rollback": {
                "kind": "command",
                "command": [sys.executable, "switch.py", "set", "{policy}", "{incident}"],
                "read": [sys.executable, "switch.py", "get"],
            },
            "alerts": {"channels": [{"kind": "slack", "channel": "#x", "base_url": self.slack}]},
            "expectations": {"off": "a benchmark of crashes"},
        }
        (self.folder / "monitor.yaml").write_text(json.dumps(body), "utf-8")

    def log(self, hour: int) -> None:
        """One hour of decisions; every few hours one breaks a hard constraint that none broke before."""
        rng = random.Random(hour)
        lines = []
        for i in range(PER_HOUR):
            ts = START + hour * HOUR + i * HOUR / PER_HOUR
            row = {
                "decision_id": f"d{hour}-{i}", "ts": ts.isoformat(), "policy_id": ("old", "new")[i % 2],
                "unit_id": f"u{rng.randrange(500)}", "action": "abc"[rng.randrange(3)],
                "propensity": 1 / 3, "reward": float(rng.random() < 0.5),
            }  # fmt: skip
            if violates(hour) and i == PER_HOUR - 1:
                row[f"cost_c{hour // EVERY % HARD}"] = 1.0
            lines.append(json.dumps(row) + "\n")
        with (self.folder / "logs" / f"day{hour // 24}.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def once(self, at: datetime, kind: str, phase: str, share: float, typical: dict[str, float]) -> bool:
        """One pass at `at` in a process of its own, killed in `phase` ("": never); True where it ended."""
        self.passes += 1
        marks = mmap.mmap(-1, 8)
        child = os.fork()
        if not child:
            _pass(self.folder, at, kind, marks, self.slack)
        begun: dict[str, float] = {}
        deadline = time.monotonic() + 120
        while True:
            now = PHASES[marks[0]]
            begun.setdefault(now, time.monotonic())
            if phase and now == phase and time.monotonic() - begun[now] >= share * typical.get(phase, 0.02):
                os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
                killed = os.WIFSIGNALED(status)  # else it had just ended by itself
                self.kills[PHASES[marks[0]]] += killed
                return not killed
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                if code:
                    raise SystemExit(f"a pass ended with {code} and nobody killed it")
                order = sorted(begun.items(), key=lambda one: one[1])
                for (name, first), (_, last) in zip(order, [*order[1:], ("", time.monotonic())], strict=True):
                    typical[name] = max(typical.get(name, 0.0) * 0.9, last - first)
                return True
            if time.monotonic() > deadline:
                raise SystemExit("a pass did not end within two minutes")
            time.sleep(0.0005)


def violates(hour: int) -> bool:
    return hour % EVERY == 1


def _pass(folder: Path, at: datetime, kind: str, marks: mmap.mmap, slack: str) -> None:
    """In the child: one pass, whose phase stands in the first byte of `marks`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    from alerts.channels.slack import SlackChannel
    from monitor import acting, config, jobs, measuring
    from monitor.journal import Journal

    def marked(owner: Any, name: str, phase: str, after: str = "") -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            marks[0] = PHASES.index(phase)
            found = function(*arguments, **named)
            if after:
                marks[0] = PHASES.index(after)
            if after == "sent":
                time.sleep(HELD)
            return found

        setattr(owner, name, call)

    marked(jobs, "ingest", "ingest")
    marked(measuring, "measured", "measure")
    marked(jobs, "_judge", "judge")
    marked(acting, "roll_back", "rollback", after="judge")
    marked(jobs, "_stage_verdict", "verdict")
    marked(jobs, "deliver", "alert")
    marked(SlackChannel, "deliver", "alert", after="sent")
    marked(Journal, "delivered", "alert")
    loaded = config.load(folder / "monitor.yaml")
    environ = {"SLACK_BOT_TOKEN": TOKEN, "PATH": os.environ["PATH"]}
    if kind == "run":
        jobs.run(loaded, now=at, as_of=at, dry=False, environ=environ)
    else:
        jobs.fast(loaded, now=at, environ=environ)
    os._exit(0)


def slack(place: Path, failing: float, seed: int) -> None:
    """A Slack that fails: writes its address, then one line for each message that it took."""
    rng = random.Random(seed)

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode("utf-8", "replace")
            odds = rng.random()
            if odds < failing / 4:
                self.connection.close()
                return
            status = 200 if odds > failing else rng.choice([429, 500, 400])
            key = re.search(r"alert ([^\"\\]+)", body)
            if status == 200 and self.path.endswith("chat.postMessage") and key:
                with place.with_suffix(".took").open("a", encoding="utf-8") as file:
                    file.write(key[1] + "\n")
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status == 429:
                self.send_header("Retry-After", "1")
            self.end_headers()
            said = {"ok": status == 200, "channel": "C1", "ts": f"{time.time()}"}
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    place.with_suffix(".new").write_text(f"http://127.0.0.1:{server.server_port}/api/", "utf-8")
    os.replace(place.with_suffix(".new"), place)
    server.serve_forever()


def crash(folder: Path, kills: int, seed: int) -> int:
    # Loaded before any fork; DuckDB itself is opened in the children alone.
    from monitor import acting, config, jobs, measuring  # noqa: F401

    rng = random.Random(seed)
    servers, plants = [], []
    try:
        for name, failing in (("killed", 0.3), ("twin", 0.0)):
            place = folder / f"{name}.slack"
            command = [sys.executable, __file__, "--slack", str(place), str(failing), str(seed)]
            servers.append(subprocess.Popen(command))
            while not place.exists():
                time.sleep(0.01)
            plants.append(Plant(folder / name, place.read_text("utf-8")))
            plants[-1].prepare()
        killed, twin = plants
        typical: dict[str, float] = {}
        begin, hour = time.monotonic(), 0
        while sum(killed.kills.values()) < kills:
            for plant in plants:
                plant.log(hour)
            at = START + (hour + 1) * HOUR + LAG
            twin.once(at, "run", "", 0.0, typical)
            # Three minutes between two tries: what a killed pass was sending may then be sent again.
            tries = 0
            while True:
                possible = [p for p in PHASES[1:] if p not in ("rollback", "sent") or violates(hour)]
                fewest = min(killed.kills[p] for p in possible)
                phase = rng.choice([p for p in possible if killed.kills[p] <= fewest + 3])
                if tries >= KILLS_AN_HOUR or sum(killed.kills.values()) >= kills:
                    phase = ""
                kind = "fast" if rng.random() < 0.15 and phase in ("ingest", "rollback", "alert") else "run"
                later = at + tries * timedelta(minutes=3)
                ended = killed.once(later, kind, phase, rng.random(), typical)
                tries += 1
                if ended and kind == "run":
                    break
            hour += 1
            if hour % 10 == 0:
                done = sum(killed.kills.values())
                took = time.monotonic() - begin
                print(f"{done} kills in {hour} hours of log, {took:.0f} s", file=sys.stderr)
        for late in range(1, LATE_HOURS):  # what Slack did not take is tried until it does
            at = START + (hour + late) * HOUR + LAG
            for plant in plants:
                plant.once(at, "run", "", 0.0, typical)
            if late > 8 and not any(_waiting(plant.folder) for plant in plants):
                break
        return told(killed, twin, hour, time.monotonic() - begin)
    finally:
        for server in servers:
            server.kill()
            server.wait()


def told(killed: Plant, twin: Plant, hours: int, seconds: float) -> int:
    """Print what was found; 1 where anything is wrong."""
    ours, theirs = _state(killed.folder), _state(twin.folder)
    took = Counter(killed.folder.with_suffix(".took").read_text("utf-8").split("\n"))
    checks = {
        f"every one of {hours * PER_HOUR} decisions counted once": ours["decided"]
        == [(hours * PER_HOUR, hours * PER_HOUR)] and ours["summed"] == [(hours * PER_HOUR,)],
        f"{len(ours['readings'])} readings as the twin's": _same(ours["readings"], theirs["readings"]),
        f"{len(ours['incidents'])} incidents as the twin's": ours["incidents"] == theirs["incidents"] != [],
        "exactly one rollback done for each": set(ours["done"].values()) == {1}
        and set(ours["done"]) == set(ours["incidents"]),
        "each switched once by its command": set(ours["switched"].values()) == {1}
        and set(ours["switched"]) == set(ours["done"]),
        "the safe policy is in control": ours["policy"] == "old",
        f"{len(ours['alerts'])} alerts as the twin's": ours["alerts"] == theirs["alerts"],
        "every alert delivered at least once, with its key": not ours["waiting"]
        and all(took[key] >= 1 for key in ours["keys"]),
        "the last verdict as the twin's": ours["verdict"] == theirs["verdict"],
        f"the chain of {ours['events']} events is whole": ours["breaks"] == [],
        "nothing left beside the stores": ours["left"] == [],
    }  # fmt: skip
    shares = ", ".join(f"{phase} {killed.kills[phase]}" for phase in PHASES if killed.kills[phase])
    print(f"{sum(killed.kills.values())} kills in {killed.passes} passes over {hours} hours of log, "
          f"{seconds:.0f} s: {shares}")
    twice = sum(n > 1 for key, n in took.items() if key in ours["keys"])
    print(f"sent again after a kill: {twice} of {len(ours['keys'])} alerts")
    for what, good in checks.items():
        print(f"{'ok   ' if good else 'WRONG'} {what}")
    for what in [w for w, good in checks.items() if not good]:
        print(f"  {what}: see {killed.folder}")
    return 0 if all(checks.values()) else 1


def _waiting(folder: Path) -> int:
    from monitor.journal import Journal

    with Journal(folder / "var/monitor/journal.db") as journal:
        return len(journal.undelivered())


def _state(folder: Path) -> dict[str, Any]:
    from monitor.journal import Journal
    from monitor.store import opened

    store = folder / "var/monitor"
    with opened(store / "decisions.duckdb") as connection:
        counted = "SELECT COUNT(*), COUNT(DISTINCT decision_id) FROM decisions"
        decided = connection.execute(counted).fetchall()
    with opened(store / "sums.duckdb") as connection:
        summed = connection.execute("SELECT SUM(n) FROM sums_reward").fetchall()
        columns = 'metric, "key", policy_id, candidate_id, window_start, value, low, high, n, reason'
        readings = connection.execute(f"SELECT {columns} FROM readings ORDER BY 1, 2, 3, 4, 5").fetchall()
    with Journal(store / "journal.db") as journal:
        events = journal.events()
        done = Counter(e.subject for e in events if e.kind == "rollback" and e.body.get("status") == "done")
        opened_ = [
            e.subject for e in events
            if e.kind == "incident" and e.body.get("did") == "rolled_back"
        ]  # fmt: skip
        keys = [k for (k,) in journal._rows("SELECT key FROM outbox WHERE channel <> ''")]
        last = journal.newest("verdict")
        switched = Counter((folder / "switched").read_text("utf-8").split())
        return {
            "decided": decided, "summed": summed, "readings": readings, "done": done,
            "incidents": sorted(opened_), "switched": switched,
            "policy": json.loads((folder / "policy.json").read_text("utf-8"))["policy"], "keys": keys,
            "alerts": sorted(k for k in keys if not k.startswith(("verdict:", "deaf:"))),
            "waiting": journal.undelivered(), "events": journal.count(), "breaks": journal.verify(),
            "verdict": last and (last.body["outcome"], last.body["exit_code"]),
            "left": sorted(p.name for p in folder.rglob("*.tmp")),
        }  # fmt: skip


def _same(ours: list[Any], theirs: list[Any]) -> bool:
    def near(a: Any, b: Any) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return a == b or (a != a and b != b) or abs(a - b) <= 1e-12 * max(abs(a), abs(b))
        return bool(a == b)

    return len(ours) == len(theirs) and all(
        near(a, b) for one, two in zip(ours, theirs, strict=True) for a, b in zip(one, two, strict=True)
    )


def main() -> None:
    if sys.argv[1:2] == ["--slack"]:
        slack(Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the two installations where they are")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="monitor-crash-"))
    try:
        code = crash(folder, given.kills, given.seed)
    finally:
        if not given.keep:
            shutil.rmtree(folder)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
