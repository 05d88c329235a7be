"""A confidence sequence: an interval that may be looked at again and again."""

from __future__ import annotations

import math


def tuning(n: float, n_star: float, alpha: float = 0.05) -> float:
    """y = (n/n*)·(−W₋₁(−α²e⁻¹) − 1), which makes the sequence tightest at n = n*.

    `n` is the number of matured decisions, `n_star` the number declared before the first look.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, arXiv 2103.06476.
    """
    from scipy.special import lambertw

    return n / n_star * (-float(lambertw(-(alpha**2) / math.e, -1).real) - 1)


def multiplier(n: float, n_star: float, alpha: float = 0.05) -> float:
    """m = √((y+1)/y·2·log(√(y+1)/α)): standard errors on each side for a normal estimate."""
    y = tuning(n, n_star, alpha)
    return math.sqrt((y + 1) / y * 2 * math.log(math.sqrt(y + 1) / alpha))


def t_multiplier(m: float, df: float) -> float:
    """T⁻¹_df(Φ(m)): the same number of standard errors where the error was estimated with df.

    Taken at the lower tail, where Φ(−m) does not round to 1; infinite where no float is that large.
    """
    from scipy.special import ndtr, stdtrit

    return abs(float(stdtrit(df, ndtr(-m))))
