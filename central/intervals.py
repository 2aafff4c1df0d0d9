"""Exact intervals of measured rates: no rate is told without one."""

from dataclasses import dataclass

from scipy.stats import beta

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """The rates, 0..1, that the counts do not contradict."""

    low: float
    high: float


def exact(events: int, trials: int, *, level: float = LEVEL) -> Interval:
    """Return the Clopper-Pearson interval of `events` out of `trials`, each trial on its own.

    Exact from the binomial distribution, so it holds at zero events too, where three divided by the number
    of trials is the well-known upper end. Nothing tried says nothing: 0 to 1.
    """
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events of {trials} trials")
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, events, trials - events + 1)) if events else 0.0
    high = float(beta.ppf(1 - tail, events + 1, trials - events)) if events < trials else 1.0
    return Interval(low, high)
