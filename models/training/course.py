"""The course of a training: how far it is and at which rate it learns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Course:
    """Steps in all, of which the first warm up and the last fade out; the very last round as integers will.

    In the long middle the rate is constant, so a finished training can be taken up again at its last
    checkpoint before the fade and be given more steps.
    """

    steps: int
    rate: float
    warm: int = 300
    fade_share: float = 0.3
    integer_share: float = 0.08

    @property
    def fades_at(self) -> int:
        """Return the step at which the rate begins to fall."""
        return round(self.steps * (1 - self.fade_share))

    @property
    def integers_at(self) -> int:
        """Return the step from which the integers' rounding is in the loop."""
        return round(self.steps * (1 - self.integer_share))

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step."""
        if step < self.warm:
            return self.rate * (step + 1) / self.warm
        if step < self.fades_at:
            return self.rate
        left = (self.steps - step) / (self.steps - self.fades_at)
        return self.rate * float(max(left, 0.0) ** 1.5)
