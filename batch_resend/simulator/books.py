"""What the simulator received: arrivals in every window, mails, answers, wrong requests."""

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import Any

from batch_resend.windows import Window

_WRONG_REQUESTS_KEPT = 100
_RECIPIENTS_KEPT = 10_000  # mails
_PATH_KEPT = 200  # characters


class WindowLog:
    """The arrivals that a rolling window still holds, each key by itself (page "Rate limits")."""

    __slots__ = ("_arrivals", "peak", "refused", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.peak = 0  # most arrivals by one key that any period held, refused ones included
        self.refused = 0
        self._arrivals: defaultdict[str, deque[float]] = defaultdict(deque)

    def arrive(self, now: float, key: str) -> bool:
        """Record an arrival; return whether the window, the half-open (now - W, now], is kept."""
        arrivals = self._arrivals[key]
        arrivals.append(now)
        period_s = self.window.period_s
        while arrivals[0] + period_s <= now:
            arrivals.popleft()
        self.peak = max(self.peak, len(arrivals))
        kept = len(arrivals) <= self.window.limit
        self.refused += not kept
        return kept


class Books:
    """Everything received so far. Tests may read the fields; a report is `snapshot()`."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.reads = 0  # requests of the calls that only read
        self.reads_of: Counter[str] = Counter()  # the same, each call by itself
        self.requests = 0  # to the API, whatever came of them
        self.requests_per_order: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()  # a status, or the fault that gave no answer
        self.sources: Counter[str] = Counter()  # what the answers rest on: recorded, guessed ..
        self.mails = 0
        self.mails_per_order: Counter[str] = Counter()
        self.addresses_mailed = 0
        # Whom each request about an order or a domain mailed, of the first mails.
        self.recipients: defaultdict[str, list[list[str]]] = defaultdict(list)
        self.windows = [WindowLog(window) for window in windows]
        self.wrong_requests: list[dict[str, str]] = []  # the first hundred
        self.wrong_request_count = 0
        self.bodies: dict[str, list[dict[str, Any]]] = {}  # an order's, if they are to be kept

    def arrive(self, now: float, order_id: str | None, key: str) -> bool:
        """Record a request at `now`, in seconds of any clock; return whether all windows are kept.

        It counts in every window of its key, refused or not: that is the CA's rule ("Rate limits").
        """
        self.requests += 1
        if order_id is not None:
            self.requests_per_order[order_id] += 1
        kept = True
        for log in self.windows:
            kept = log.arrive(now, key) and kept
        return kept

    def read(self, call: str) -> None:
        """Record a request of a call that only reads."""
        self.reads += 1
        self.reads_of[str(call)] += 1

    def answer(self, what: str, source: str) -> None:
        """Record an answer, by its status or its fault, and what it rests on."""
        self.answers[str(what)] += 1
        self.sources[str(source)] += 1

    def mail(self, subject: str, recipients: Sequence[str]) -> None:
        """Record that the mails of an order or a domain went out, and to whom."""
        self.mails += 1
        self.mails_per_order[subject] += 1
        self.addresses_mailed += len(recipients)
        if self.mails <= _RECIPIENTS_KEPT:
            self.recipients[subject].append(list(recipients))

    def wrong(self, method: str, path: str, reason: str) -> None:
        """Record a request that a correct client does not make."""
        self.wrong_request_count += 1
        if len(self.wrong_requests) < _WRONG_REQUESTS_KEPT:
            self.wrong_requests.append(
                {"method": method, "path": path[:_PATH_KEPT], "reason": reason}
            )

    def snapshot(self) -> dict[str, Any]:
        """Return the books as plain data, fit for JSON: what `GET /` shows."""
        return {
            "requests": self.requests,
            "answers": dict(sorted(self.answers.items())),
            "answers_rest_on": dict(sorted(self.sources.items())),
            "reads": dict(sorted(self.reads_of.items())),
            "mails": self.mails,
            "addresses_mailed": self.addresses_mailed,
            "orders_mailed": len(self.mails_per_order),
            "mails_per_order": dict(self.mails_per_order),
            "windows": [
                {"limit": str(log.window), "peak": log.peak, "refused": log.refused}
                for log in self.windows
            ],
            "wrong_request_count": self.wrong_request_count,
            "wrong_requests": list(self.wrong_requests),
        }
