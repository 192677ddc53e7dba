"""What is read, and what its ages say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SETTLED_BELOW = 0.5


@dataclass(frozen=True)
class Cell:
    """A reader: its path, policy, bytes of a message, and rates, each a pair: bytes a second, seconds."""

    path: str
    policy: str
    size: int
    phases: tuple[tuple[float, float], ...]
    produced: float | None = None
    """Messages a second, if not by the rate of the reader."""

    @property
    def label(self) -> str:
        return f"{self.path}, {self.policy}, {self.phases[0][0] / 1000:g} kB/s, {self.size} B"

    def is_at(self, path: str, rate: float) -> bool:
        return self.path == path and self.phases[0][0] == rate

    def task(self, port: int) -> dict[str, Any]:
        produced = self.produced or max(2 * self.phases[0][0] / self.size, 250)
        path = f"/feed?policy={self.policy}&size={self.size}&rate={produced:g}"
        return {"port": port, "path": path, "phases": self.phases, "tls": self.path == "TLS"}


@dataclass(frozen=True)
class Ages:
    """Seconds, of one reader."""

    median: float
    high: float
    """The 95th percentile."""
    last: float
    """The median of the last fifth of the time."""
    first: float
    """The oldest of what was made in the first second."""
    share: float
    """What was read, as a share of what the reader could."""
    closed: int | None
    failed: str | None


def part(values: list[float], share: float) -> float:
    """A quantile; infinite if there is nothing."""
    return sorted(values)[int(len(values) * share)] if values else float("inf")


def age(seen: dict[str, Any], seconds: float, rate: float) -> Ages:
    messages = seen["messages"]
    return Ages(
        part([age for at, age in messages if at > 1], 0.5),
        part([age for at, age in messages if at > 1], 0.95),
        part([age for at, age in messages if at > 0.8 * seconds], 0.5),
        max((age for at, age in messages if at - age < 1), default=float("inf")),
        seen["bytes"] / rate / seconds,
        seen.get("closed"),
        seen.get("failed"),
    )


def settled(seen: dict[str, Any], since: float) -> tuple[float, float]:
    """Seconds after `since` from which on what is read is fresh, and the oldest that was read after it."""
    after = [(at - since, age) for at, age in seen["messages"] if at > since]
    return max((at for at, age in after if age > SETTLED_BELOW), default=0.0), max(
        (age for _, age in after), default=0.0
    )
