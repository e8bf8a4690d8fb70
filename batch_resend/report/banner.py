"""What there is to know of a run before anything else, and how it ended."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

EndState = Literal["completed", "stopped", "interrupted", "running"]
HOW_IT_ENDED: dict[EndState, str] = {
    "completed": "finished",
    "stopped": "stopped early",
    "interrupted": "interrupted",
    "running": "under way",
}


class Banner(StrEnum):
    """What there is to know of a run before anything else."""

    UNDER_WAY = "under way"  # it was being sent when this was written
    REHEARSAL = "rehearsal"  # nobody was mailed
    COMPLETE = "complete"  # all rows good, all orders sent, by any run, or rightly skipped
    NEEDS_ACTION = "needs action"  # anything else


def banner_in_words(
    verdict: Banner, state: EndState, sent_elsewhere: int, left: Sequence[str] = ()
) -> str:
    """Return the verdict of a run; where other runs have sent the rest, how this one ended.

    `left`: what it has left for the next sweep.
    """
    if verdict is not Banner.COMPLETE:
        return verdict.value
    text = f"{HOW_IT_ENDED[state]}; rest sent by other runs" if sent_elsewhere else verdict.value
    return f"{text}, up to --max-orders" if left else text
