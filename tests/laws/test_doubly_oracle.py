"""Doubly robust and clipped estimates out of the sums equal naive numpy over the raw rows, to 1e-9."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.sheet import Sheet
from monitor.sums import FAMILIES
from monitor.sums.baseline import Baseline
from monitor.sums.build import restricted
from monitor.sums.read import read
from tests.conftest import rows_of
from tests.laws.test_merge import FROZEN

DAY = 24
START, END = 490_000, 490_072
DAYS = (490_008, 490_056)  # the whole UTC days among them
EDGES = FROZEN.bins["load"]["edges"]
SEASONS = FROZEN.bins["season"]["categories"]
CLIP = 3.0
REFUSED = "no_candidate_distribution"


@pytest.fixture
def sheet(decisions, loaded) -> Sheet:
    return sheet_of(decisions, loaded, CLIP)


def sheet_of(decisions, loaded, clip: float) -> Sheet:
    connection = decisions(5, 6000)
    connection.execute(
        "UPDATE decisions SET q_value = CASE WHEN row_hash % 250 > 0 THEN 1e0 + (row_hash % 100) / 2e2 END"
    )
    return sheet_over(connection, loaded, clip)


def sheet_over(connection, loaded, clip: float) -> Sheet:
    for name, family in FAMILIES.items():
        select = family.select(loaded.config, replace(FROZEN, weight_clip=clip))
        if select is not None:
            connection.execute(f'CREATE TABLE "sums_{name}" AS {restricted(select, "TRUE")}')
    body = {"features": FROZEN.bins, "usual": {}, "action_sd": {}, "rows": 6000, "weight_clip": clip}
    return Sheet(
        lambda family: read(connection, family, START, END, END - START),
        loaded.config, Baseline(FROZEN.hash, body),
    )


@pytest.fixture
def rows():
    """Rows that off-policy estimates may use, with w and k."""
    r = rows_of(5, 6000).to_pandas()
    r = r[(r.policy_id == "old") & (r.candidate_id == "new")]
    r = r[(r.overridden != True) & (r.activated != False)]  # noqa: E712
    r = r[r.propensity.notna() & r.candidate_propensity.notna() & r.reward.notna()]
    logged = (1 + (r.row_hash % 100) / 200).where(r.row_hash % 250 > 0)
    return r.assign(w=r.candidate_propensity / r.propensity, k=1 / r.keep_prob, q_value=logged)


def value(sheet: Sheet, metric: str, key: str = "") -> float:
    return sheet.estimate(metric, "old", START, END, "new", key).value


def critic_out(sheet: Sheet) -> None:
    """As if no critic were logged: the ridge model is used."""
    sheet.index("valued").clear()


def combined(r, q, v):
    """Every doubly robust estimate of rows with q̂ of the executed action and its mean v."""
    switched, shrunk = np.where(r.w <= CLIP, r.w, 0.0), CLIP**2 * r.w / (r.w**2 + CLIP**2)
    k, n = r.k, r.k.sum()
    base, gap = (k * v).sum() / n, k * (r.reward - q)
    snips = (k * r.w * r.reward).sum() / (k * r.w).sum()
    dr = base + (r.w * gap).sum() / n
    return {
        "dm": base, "dr": dr, "sndr": base + (r.w * gap).sum() / (k * r.w).sum(),
        "switch_dr": base + (switched * gap).sum() / n, "dros": base + (shrunk * gap).sum() / n,
        "snips_dr_difference": snips - dr,
    }


def test_estimates_with_a_logged_critic_equal_naive_numpy(sheet, rows) -> None:
    r = rows[rows.q_value.notna() & rows.candidate_value.notna()]
    assert 0.98 * len(rows) < len(r) < len(rows)
    for name, expected in combined(r, r.q_value, r.candidate_value).items():
        assert value(sheet, name) == pytest.approx(expected, abs=1e-9), name
        assert "logged critic" in sheet.estimate(name, "old", START, END, "new").method


def test_estimates_with_a_cross_fitted_ridge_model_equal_naive_numpy(sheet, rows) -> None:
    critic_out(sheet)
    r = rows[(rows.hour >= DAYS[0]) & (rows.hour < DAYS[1]) & rows.action.notna()]
    r = r[r.candidate_probs.notna() | r.candidate_action.notna()]
    load = ((r.state_load - EDGES[len(EDGES) // 2]) / FROZEN.bins["load"]["sd"]).fillna(0.0)
    x = np.column_stack([np.ones(len(r)), load, *(r.state_season == s for s in SEASONS)]).astype(float)
    actions = ["a", "b", "c"]
    chance = np.array([
        given if given is not None else [float(a == drawn) for a in actions]
        for given, drawn in zip(r.candidate_probs, r.candidate_action, strict=True)
    ])
    fold = (r.unit_hash % 64 // 8).to_numpy()
    q, v = np.zeros(len(r)), np.zeros(len(r))
    for f in range(8):
        out, here = fold != f, fold == f
        mean = np.average(r.reward[out], weights=r.k[out])
        for at, action in enumerate(actions):
            fit = out & (r.action == action).to_numpy()
            xk = x[fit] * r.k.to_numpy()[fit, None]
            beta = np.linalg.solve(xk.T @ x[fit] + np.eye(x.shape[1]), xk.T @ (r.reward[fit] - mean))
            model = mean + x @ beta
            q = np.where(here & (r.action == action), model, q)
            v = np.where(here, v + chance[:, at] * model, v)
    for name, expected in combined(r, q, v).items():
        assert value(sheet, name) == pytest.approx(expected, abs=1e-9), name


@pytest.mark.parametrize(("clip", "same"), [(0.0, "dm"), (1e9, "dr")])
def test_no_weight_leaves_the_model_and_every_weight_leaves_dr(decisions, loaded, clip, same) -> None:
    sheet = sheet_of(decisions, loaded, clip)
    for logged in (True, False):
        if not logged:
            critic_out(sheet)
        for name in ("switch_dr", "dros"):
            assert value(sheet, name) == pytest.approx(value(sheet, same), abs=1e-9)


GREEDY = "UPDATE decisions SET candidate_action = 'a'"
REVERSED = "UPDATE decisions SET candidate_probs = list_reverse(candidate_probs)"


@pytest.mark.parametrize(
    ("change", "reason"), [("SELECT 1", None), (GREEDY, REFUSED), (REVERSED, REFUSED)]
)
def test_the_candidates_actions_are_as_frequent_as_its_weights_say(decisions, loaded, change, reason) -> None:
    """A draw of the candidate at .6, .3, .1; then its likeliest action; then its distribution, reversed."""
    connection = decisions(5, 6000)
    drawn = "CASE WHEN row_hash % 10 < 6 THEN 'a' WHEN row_hash % 10 < 9 THEN 'b' ELSE 'c' END"
    connection.execute(
        f"""UPDATE decisions SET propensity = 1e0 / 3, candidate_action = {drawn}, keep_prob = 1e0,
            action = coalesce(action, 'a'), candidate_probs = NULL, q_value = NULL, candidate_id = 'new'"""
    )
    connection.execute(
        "UPDATE decisions SET candidate_propensity = CASE action WHEN 'a' THEN 6e-1 WHEN 'b' THEN 3e-1 "
        "ELSE 1e-1 END"
    )
    if change == REVERSED:
        connection.execute("UPDATE decisions SET candidate_probs = [6e-1, 3e-1, 1e-1]")
    connection.execute(change)
    found = sheet_over(connection, loaded, CLIP).estimate("dr", "old", START, END, "new")
    assert found.reason == reason and np.isfinite(found.value)


def test_clipped_ips_its_bias_and_the_support_equal_naive_numpy(sheet, rows) -> None:
    kept, n = np.minimum(rows.w, CLIP), rows.k.sum()
    clipped = (kept * rows.reward * rows.k).sum() / n
    assert value(sheet, "clipped_ips") == pytest.approx(clipped, abs=1e-9)
    assert "clipped at 3" in sheet.estimate("clipped_ips", "old", START, END, "new").method
    lost = (1 - (kept * rows.k).sum() / n) * 2
    assert value(sheet, "clipped_ips_bias") == pytest.approx(max(0.0, lost), abs=1e-9)
    logged = rows[rows.unsupported_mass.notna()]
    mass = np.average(logged.unsupported_mass, weights=logged.k)
    assert value(sheet, "unsupported_share") == pytest.approx(mass, abs=1e-9)


@pytest.mark.parametrize("name", ["slow", "crash"])
def test_offpolicy_costs_equal_naive_numpy(sheet, name) -> None:
    r = rows_of(5, 6000).to_pandas()
    r = r[(r.policy_id == "old") & (r.candidate_id == "new") & r[f"cost_{name}"].notna()]
    r = r[(r.overridden != True) & (r.activated != False)]  # noqa: E712
    r = r[r.propensity.notna() & r.candidate_propensity.notna()]
    w = r.candidate_propensity / r.propensity / r.keep_prob
    expected = (w * (r[f"cost_{name}"] > 0)).sum() / w.sum()
    assert value(sheet, "offpolicy_cost", name) == pytest.approx(expected, abs=1e-9)


def test_quantiles_and_the_worst_tenth_under_the_candidate_equal_naive_numpy(sheet, rows) -> None:
    order = np.argsort(rows.reward, kind="stable")
    r, w = rows.reward.to_numpy()[order], (rows.w * rows.k).to_numpy()[order]
    share = np.cumsum(w) / w.sum()
    for name, tau in (("offpolicy_q05", 0.05), ("offpolicy_q50", 0.5), ("offpolicy_q95", 0.95)):
        assert value(sheet, name) == r[np.argmax(share >= tau)], name
    left, worst = 0.1, 0.0
    for one, part in zip(r, w / w.sum(), strict=True):
        worst, left = worst + min(left, part) * one, left - min(left, part)
    assert value(sheet, "offpolicy_cvar10") == pytest.approx(worst / 0.1, abs=1e-9)


def test_value_on_fitted_propensities_equals_naive_numpy(sheet) -> None:
    r = rows_of(5, 6000).to_pandas()
    r = r[(r.policy_id == "old") & (r.candidate_id == "new") & r.action.notna() & r.reward.notna()]
    r = r[(r.overridden != True) & (r.activated != False) & r.propensity.isna()]  # noqa: E712
    r = r[(r.hour >= DAYS[0]) & (r.hour < DAYS[1])].assign(k=lambda x: 1 / x.keep_prob)
    share = r.groupby(["segment", "action"]).k.transform("sum") / r.groupby("segment").k.transform("sum")
    recommended = (r.action == r.candidate_action).astype(float).where(r.candidate_action.notna())
    w = r.k * r.candidate_propensity.fillna(recommended) / share
    expected = (w * r.reward).sum() / w.sum()
    assert value(sheet, "estimated_snips") == pytest.approx(expected, abs=1e-9)
    low, high = value(sheet, "estimated_snips_low"), value(sheet, "estimated_snips_high")
    assert 0 < low < expected < high < 2
