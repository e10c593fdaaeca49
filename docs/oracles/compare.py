"""Holds samplit-bandit against other people's code. For development only.

    python3 -m venv /tmp/oracles && /tmp/oracles/bin/pip install scipy statsmodels gbstats
    cargo run -q -p samplit-bandit --example oracle_values > /tmp/values.json
    /tmp/oracles/bin/python docs/oracles/compare.py /tmp/values.json --write docs/STATISTICS.md

The JSON holds inputs and our results; here the same quantities are computed again by scipy's
distributions and quadrature, by statsmodels, and by gbstats (GrowthBook's engine). Prints a table
of the largest differences and exits 1 when one is beyond its tolerance. Where a library computes an
approximation of the same quantity, the difference is told but not judged.
"""

import argparse
import datetime
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy import integrate, optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportions_ztest,
    samplesize_proportions_2indep_onetail,
)

try:
    from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig
    from gbstats.models.statistics import (
        ProportionStatistic,
        RegressionAdjustedStatistic,
        SampleMeanStatistic,
    )
    from gbstats.utils import check_srm

    GBSTATS = True
except ImportError:
    GBSTATS = False

APPROXIMATION = None


class Comparison:
    """The differences of one quantity over all cases."""

    def __init__(self, quantity, library, tolerance):
        self.quantity, self.library, self.tolerance = quantity, library, tolerance
        self.ours, self.theirs = [], []

    def add(self, ours, theirs):
        self.ours += np.ravel(ours).tolist()
        self.theirs += np.ravel(theirs).tolist()

    def difference(self):
        return float(np.max(np.abs(np.array(self.ours) - np.array(self.theirs))))

    def passed(self):
        return self.tolerance is APPROXIMATION or self.difference() <= self.tolerance

    def row(self):
        judged = "approximation" if self.tolerance is APPROXIMATION else f"{self.tolerance:.0e}"
        return [self.quantity, self.library, str(len(self.ours)), f"{self.difference():.1e}", judged]


def pieces(posteriors, function):
    """The integral over 0 to 1 of a function that changes where the posteriors are."""
    points = {0.0, 1.0}
    for posterior in posteriors:
        points |= {min(max(posterior.mean() + z * posterior.std(), 0.0), 1.0) for z in range(-12, 13, 2)}
    points = sorted(points)
    quad = lambda a, b: integrate.quad(function, a, b, epsabs=1e-14, epsrel=1e-12, limit=200)[0]
    return sum(quad(a, b) for a, b in zip(points, points[1:]))


def bayesian(cases):
    best = Comparison("P(best)", "scipy", 1e-9)
    beats = Comparison("P(arm > control)", "scipy", 1e-9)
    loss = Comparison("expected loss", "scipy", 1e-9)
    interval = Comparison("credible interval of a rate", "scipy", 1e-9)
    lift = Comparison("lift: median and 95 % interval", "scipy", 1e-6)
    gb_beats = Comparison("P(arm > control)", "gbstats", APPROXIMATION)
    gb_loss = Comparison("expected loss of two arms", "gbstats", APPROXIMATION)
    for case in cases:
        arms = [stats.beta(1 + s, 1 + n - s) for n, s in case["arms"]]
        others = lambda i, x: np.prod([arm.cdf(x) for j, arm in enumerate(arms) if j != i])
        best.add(
            case["p_best"],
            [pieces(arms, lambda x: arm.pdf(x) * others(i, x)) for i, arm in enumerate(arms)],
        )
        mean_of_best = pieces(arms, lambda x: 1 - np.prod([arm.cdf(x) for arm in arms]))
        loss.add(case["expected_loss"], [mean_of_best - arm.mean() for arm in arms])
        interval.add(case["interval"], [arm.ppf([0.025, 0.975]) for arm in arms])
        control, arm = arms[0], arms[1]
        beats.add(case["prob_beats"], pieces(arms[:2], lambda x: arm.pdf(x) * control.cdf(x)))
        below = lambda u: pieces(arms[:2], lambda x: control.pdf(x) * arm.cdf(min(x * (1 + u), 1.0)))
        for ours, q in zip(case["lift"], [0.025, 0.5, 0.975]):
            near = 1 + abs(ours)
            root = optimize.brentq(lambda u: below(u) - q, ours - 0.01 * near, ours + 0.01 * near, xtol=1e-11)
            lift.add(ours / near, root / near)
        if GBSTATS and all(s > 0 for _, s in case["arms"][:2]):
            a, b = (ProportionStatistic(n=n, sum=s) for n, s in case["arms"][:2])
            config = EffectBayesianConfig(difference_type="absolute")
            result = EffectBayesianABTest(a, b, config).compute_result()
            gb_beats.add(case["prob_beats"], result.chance_to_win)
            gb_loss.add(case["expected_loss_of_two"], result.risk)
    return [best, beats, loss, interval, lift] + ([gb_beats, gb_loss] if GBSTATS else [])


def fixed(cases):
    wilson = Comparison("Wilson interval", "statsmodels", 1e-12)
    z = Comparison("two-proportion z", "statsmodels", 1e-9)
    p = Comparison("two-proportion p-value", "statsmodels", 1e-12)
    newcombe = Comparison("Newcombe interval", "statsmodels", 1e-12)
    for case in cases:
        (m, t), (n, s) = case["arms"]
        wilson.add(case["wilson"], [proportion_confint(t, m, method="wilson"), proportion_confint(s, n, method="wilson")])
        newcombe.add(case["newcombe"], confint_proportions_2indep(s, n, t, m, method="newcomb", compare="diff"))
        if s + t > 0:
            statistic, p_value = proportions_ztest([s, t], [n, m])
            z.add(case["z"], statistic)
            p.add(case["p_value"], p_value)
    return [wilson, newcombe, z, p]


def planned(plans):
    size = Comparison("sample size per arm", "statsmodels", 1.0)  # ours is rounded up
    for plan in plans:
        theirs = samplesize_proportions_2indep_onetail(
            plan["effect"], plan["rate"], plan["power"], alpha=plan["alpha"]
        )
        size.add(plan["per_arm"], theirs)
    return [size]


def student(cases):
    interval = Comparison("Student t: interval and distribution", "scipy", 1e-9)
    for case in cases:
        t = stats.t(case["degrees"], case["location"], case["scale"])
        interval.add(case["interval"] + [case["below_zero"]], [*t.ppf([0.025, 0.975]), t.cdf(0.0)])
    return [interval]


def cuped(cases):
    ols = Comparison("CUPED: theta and difference", "statsmodels (OLS)", 1e-9)
    same = Comparison("CUPED: difference and error, same theta", "gbstats", 1e-9)
    for case in cases:
        treated, x, y = np.array(case["rows"]).T
        fit = sm.OLS(y, np.column_stack([np.ones_like(x), treated, x])).fit()
        ols.add([case["theta"], case["difference"]], [fit.params[2], fit.params[1]])
        if GBSTATS:
            sums = lambda v: SampleMeanStatistic(n=len(v), sum=v.sum(), sum_squares=(v * v).sum())
            arm, control = (
                RegressionAdjustedStatistic(
                    n=int(mine.sum()),
                    post_statistic=sums(y[mine]),
                    pre_statistic=sums(x[mine]),
                    post_pre_sum_of_products=(x[mine] * y[mine]).sum(),
                    theta=case["theta"],
                )
                for mine in (treated == 1, treated == 0)
            )
            error = np.sqrt(arm.variance / arm.n + control.variance / control.n)
            same.add([case["difference"], case["standard_error"]], [arm.mean - control.mean, error])
    return [ols] + ([same] if GBSTATS else [])


def others(values):
    holm = Comparison("Holm's adjusted p-values", "statsmodels", 1e-12)
    adjusted = multipletests(values["holm"]["p_values"], method="holm")[1]
    holm.add(values["holm"]["adjusted"], adjusted)
    split = Comparison("sample ratio: chi-square and p-value", "scipy", 1e-9)
    gb_split = Comparison("sample ratio: p-value", "gbstats", 1e-9)
    for case in values["split"]:
        split.add([case["chi_square"], case["p_value"]], list(stats.chisquare(case["visitors"])))
        if GBSTATS:
            gb_split.add(case["p_value"], check_srm(case["visitors"], [1] * len(case["visitors"])))
    return [holm, split] + ([gb_split] if GBSTATS else [])


def table(comparisons):
    rows = [["quantity", "their code", "numbers", "largest difference", "tolerance"]]
    rows += [comparison.row() for comparison in comparisons]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    line = lambda row: "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |\n"
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|\n"
    return line(rows[0]) + rule + "".join(line(row) for row in rows[1:])


def versions():
    def one(package):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return f"{package} not installed"

    return ", ".join(map(one, ["scipy", "statsmodels", "gbstats"]))


def write(document, body):
    begin, end = "<!-- oracles:begin -->\n", "<!-- oracles:end -->\n"
    before, rest = document.read_text().split(begin)
    _, after = rest.split(end)
    document.write_text(before + begin + body + end + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("values", type=Path, help="what the example oracle_values printed")
    parser.add_argument("--write", type=Path, help="the document to write the table into")
    args = parser.parse_args()
    values = json.loads(args.values.read_text())
    comparisons = (
        bayesian(values["arms"])
        + fixed(values["pairs"])
        + planned(values["plans"])
        + student(values["student"])
        + cuped(values["cuped"])
        + others(values)
    )
    text = table(comparisons)
    print(text, end="")
    if args.write:
        date = datetime.datetime.now(datetime.timezone.utc).date()
        write(args.write, f"`docs/oracles/compare.py`, {date}, with {versions()}:\n\n{text}")
    beyond = [c.quantity for c in comparisons if not c.passed()]
    if beyond:
        sys.exit(f"beyond tolerance: {', '.join(beyond)}")


if __name__ == "__main__":
    main()
