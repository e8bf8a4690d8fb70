"""How a run stands at one moment: as lines of a terminal or a log, or for programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batch_resend.clock import format_duration
from batch_resend.model import RequestStatus
from batch_resend.report import counted, in_words
from batch_resend.visible import visible

_STYLES = {  # of what became of orders, in the order in which it is shown
    RequestStatus.SENT: "green",
    RequestStatus.REFUSED: "red",
    RequestStatus.IN_DOUBT: "magenta",
    RequestStatus.FAILED: "yellow",
}


_PAUSED_SHOWN = 3  # accounts


@dataclass(frozen=True, slots=True)
class PausedKey:
    """Why nothing leaves by a key, in a run of several."""

    names: tuple[str | None, ...]  # of its accounts; None: the command's own
    called: str  # these, as a part of a sentence
    why: str  # without a name: "paused: ..."
    left_s: float | None  # as far as is known

    @property
    def held_up_by(self) -> str:
        """Why nothing leaves, with whose it is."""
        return f"{self.called} {self.why}"


@dataclass(frozen=True, slots=True)
class View:
    """A run on its way at one moment."""

    total: int  # orders that are to be sent
    outcomes: Mapping[RequestStatus, int]  # of these
    in_flight: int
    rate_per_s: float  # attempts that ended lately
    limits: tuple[str, ...] | None  # None: nothing is under way yet
    share: float  # of the limits, that is taken: below 1 after a 429
    held_up_by: str | None  # why nothing leaves
    held_up_s: float | None  # and for how long still, as far as is known
    left_s: float | None  # until the last request may leave; None: not known, or all have left
    answered: int | None = None  # orders that were asked about; None: they are sent
    reads: tuple[int, int] = (0, 0)  # of asking: those answered, and about how many it takes
    retries: int = 0
    # Answers that settled nothing, by HTTP status; 0: none came.
    unsettled: Mapping[int, int] = field(default_factory=dict)
    paused_keys: tuple[PausedKey, ...] = ()  # of several; others may send
    is_resumed: bool = False  # so that retries and these answers are not of the whole run

    @property
    def done(self) -> int:
        """Orders that have their outcome, or their answer."""
        return sum(self.outcomes.values()) if self.answered is None else self.answered


def together(views: Sequence[View], limits: tuple[str, ...]) -> View:
    """Return the views of several key runs as one of the run; `limits` are those of all."""
    if len(views) == 1:
        return views[0]
    at_work = [view for view in views if view.done < view.total]
    held_up = bool(at_work) and all(view.held_up_by for view in at_work)
    # The first that resumes ends the wait.
    first = min(at_work, key=lambda view: view.held_up_s or 0.0) if held_up else None
    left = [view.left_s for view in views]
    answered = [view.answered for view in views if view.answered is not None]
    return View(
        total=sum(view.total for view in views),
        outcomes={s: sum(view.outcomes.get(s, 0) for view in views) for s in RequestStatus},
        in_flight=sum(view.in_flight for view in views),
        rate_per_s=sum(view.rate_per_s for view in views),
        limits=limits,
        share=min(view.share for view in views),
        held_up_by=first.held_up_by if first else None,
        held_up_s=first.held_up_s if first else None,
        left_s=None if None in left else max(s for s in left if s is not None),
        answered=sum(answered) if answered else None,
        reads=(sum(view.reads[0] for view in views), sum(view.reads[1] for view in views)),
        retries=sum(view.retries for view in views),
        unsettled=sum((Counter(view.unsettled) for view in views), Counter[int]()),
        paused_keys=tuple(key for view in at_work for key in view.paused_keys),
    )


def live_lines(view: View) -> RenderableType:
    """Return a view as a few lines of a terminal, of any width."""
    done, total = (view.done, view.total) if view.answered is None else view.reads
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(no_wrap=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True)
    bar.add_row(
        Text("sending" if view.answered is None else "asking", "bold"),
        # In no colour of an error, as rich's own is.
        ProgressBar(
            total=max(total, 1),
            completed=done,
            complete_style="cyan",
            finished_style="green",
        ),
        Text(_how_far(view)),
    )
    lines: list[RenderableType] = [bar]
    if view.answered is None:
        lines.append(_counts(view))
    lines += [Text(f"  {text}") for text in (_speed(view), _allowed(view)) if text]
    if trouble := _trouble(view):
        lines.append(Text(f"  {trouble}", "yellow"))
    lines += [Text(f"  {reason}", "bold yellow") for reason in held_up(view)]
    return Group(*lines)


def _counts(view: View) -> Text:
    counts = Text("  ")
    for place, status in enumerate(_STYLES):
        counts.append(" · " if place else "")
        count = view.outcomes.get(status, 0)
        counts.append(f"{count:,} {in_words(status)}", _STYLES[status] if count else "dim")
    return counts


def plain_line(view: View) -> str:
    """Return a view as one line of a log."""
    counts = [
        f"{count:,} {in_words(status)}"
        for status in _STYLES
        if (count := view.outcomes.get(status, 0)) or status is RequestStatus.SENT
    ]
    what = ", ".join(counts) if view.answered is None else "asking the CA"
    speed = () if view.held_up_by else (_speed(view), _allowed(view))
    return "; ".join(filter(None, (_how_far(view), what, _trouble(view), *speed, *held_up(view))))


def as_json(view: View) -> dict[str, object]:
    """Return a view for programs."""
    return {
        "doing": "sending" if view.answered is None else "asking",
        "total": view.total,
        "done": view.done,
        "outcomes": {status.value: view.outcomes.get(status, 0) for status in _STYLES},
        "in_flight": view.in_flight,
        "rate_per_s": round(view.rate_per_s, 3),
        "limits": list(view.limits or ()),
        "share": round(view.share, 3),
        "retries": view.retries,
        "unsettled": {str(status or "none"): count for status, count in view.unsettled.items()},
        "held_up_by": view.held_up_by,
        "held_up_s": _rounded(view.held_up_s),
        "paused_accounts": [
            {"accounts": list(key.names), "held_up_by": key.why, "held_up_s": _rounded(key.left_s)}
            for key in view.paused_keys
        ],
        "left_s": _rounded(view.left_s),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def held_up(view: View) -> list[str]:
    """Return why nothing leaves, by account where only some pause, and for how long still."""
    reasons = {key.held_up_by: key.left_s for key in view.paused_keys[:_PAUSED_SHOWN]}
    is_of_all = all(view.held_up_by != key.held_up_by for key in view.paused_keys)
    if view.held_up_by is not None and is_of_all:
        reasons[view.held_up_by] = view.held_up_s
    texts = [
        visible(why) + ("" if left_s is None else f", {format_duration(left_s)} left")
        for why, left_s in reasons.items()
    ]
    more = len(view.paused_keys) - _PAUSED_SHOWN
    return [*texts, f"and {counted(more, 'other account')} paused"] if more > 0 else texts


def _how_far(view: View) -> str:
    if view.answered is not None and not view.total:
        return "reading the list of orders"
    if view.answered is not None:
        share = int(100 * view.reads[0] / max(view.reads[1], 1))
        return f"{share}% of the reads for {counted(view.total, 'order')}"
    share = int(100 * view.done / view.total) if view.total else 100
    return f"{view.done:,} of {view.total:,} orders, {share}%"


def _speed(view: View) -> str:
    parts = [f"{view.rate_per_s:.1f}/s now", f"{view.in_flight:,} in flight"]
    if view.left_s is not None:
        parts.append(f"{format_duration(view.left_s)} left")
    elif view.answered is None and 0 < view.total - view.done <= view.in_flight:
        parts.append("waiting for the last answers")
    return " · ".join(parts)


def _trouble(view: View) -> str:
    """Return what the CA makes of the requests but outcomes: which errors came, and retries."""
    parts = [counted(view.retries, "retry", "retries")] if view.retries else []
    parts += [
        f"HTTP {status}: {count:,}" if status else f"no answer: {count:,}"
        for status, count in sorted(view.unsettled.items(), key=lambda one: (-one[1], one[0]))
    ]
    since = "since it was resumed: " if parts and view.is_resumed else ""
    return since + " · ".join(parts)


def _allowed(view: View) -> str:
    if not view.limits:
        return "" if view.limits is None else "allowed: no limit"
    taken = f"; {view.share:.0%} of it used, after a 429" if view.share < 1 else ""
    return f"allowed: {' and '.join(view.limits)}{taken}"
