"""What is found, and what it was to reach."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from tests.bench.processes import ROOT, machine

RESULTS = ROOT / "bench.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure."""

    part: str
    what: str
    found: float
    unit: str
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether it is as small as it was to be."""
        return self.at_most is None or self.found <= self.at_most

    def __str__(self) -> str:
        """Return a line for people."""
        wanted = "" if self.at_most is None else f"  wanted at most {self.at_most:g} {self.unit}"
        short = "" if self.is_met else "  FALLS SHORT"
        return f"{self.what:<58} {self.found:>12,.2f} {self.unit:<6}{wanted}{short}"


def show(findings: Iterable[Finding]) -> None:
    """Print figures."""
    for finding in findings:
        print(finding, flush=True)


def keep(findings: Sequence[Finding]) -> None:
    """Put figures into bench.json, in place of those of the same parts."""
    try:
        kept = json.loads(RESULTS.read_text())
    except (OSError, ValueError):
        kept = {}
    for part in {finding.part for finding in findings}:
        kept[part] = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine(),
            "findings": [asdict(finding) for finding in findings if finding.part == part],
        }
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
