"""How fast a run was and could have been, and by which mail hosts its domains receive."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf

from batch_resend.intake import Malformed, domain_name
from batch_resend.journal import ActivePeriod, JournalReader, NotedRequest, PauseNote
from batch_resend.mail_domains import MailDomains, MailRoute
from batch_resend.model import Run
from batch_resend.report.preview import (
    MOST_DOMAINS_ASKED,
    Kind,
    MailDomainsAsked,
    Place,
    Preview,
    subject_of,
)
from batch_resend.windows import Window

_UNKNOWN_SHOWN = 10
_ADDRESSES_SHOWN = 5

# Of what a person should know, the worst first. Of what is not known there is nothing to say.
_IN_WORDS = {
    MailRoute.NO_SUCH_DOMAIN: "an address at a domain that does not exist, as the resolver says: "
    "nobody gets its mail. A company's own resolver may not know it: --dns-server names another",
    MailRoute.NULL_MX: "an address at a domain that takes no mail, as its DNS says (a null MX)",
    MailRoute.NO_MAIL_RECORDS: "an address at a domain that has neither an MX record nor an "
    "address in DNS: nobody gets its mail",
    MailRoute.NO_MX: "an address at a domain without an MX record: mail may arrive all the same, "
    "at the address that the domain has in DNS (RFC 5321), but DigiCert looks for an MX record "
    "before it mails",
}


async def with_mail_routes(
    preview: Preview, reader: JournalReader, run: Run, asking: MailDomains, shown: int
) -> Preview:
    """Return a preview with what DNS says of the domains that the run is about to mail.

    `shown` orders of each kind are named. Raises JournalError.
    """
    domains = [domain for domain, _ in await reader.recipients(run, MOST_DOMAINS_ASKED)]
    names = {domain: name for domain in domains if (name := _as_name(domain))}
    routes = await asking.routes(dict.fromkeys(names.values()))
    found = {
        domain: routes[names[domain]] if domain in names else MailRoute.UNKNOWN
        for domain in domains
    }
    kinds: list[Kind] = []
    for route, text in _IN_WORDS.items():
        if at := _those(found, route):
            count, first = await reader.mailed_at(run, at, shown)
            places = [_place(preview, noted, frozenset(at)) for noted in first]
            kinds.append(Kind(kind=route, text=text, count=count, first=places))
    return preview.model_copy(
        update={
            "mail_domains": _asked(found, preview.recipient_domains),
            "warnings": [*kinds, *preview.warnings],
        }
    )


def _as_name(domain: str) -> str | None:
    """Return a domain as DNS has it; None where it is none."""
    try:
        return domain_name(domain)
    except Malformed:
        return None


def _those(found: Mapping[str, MailRoute], wanted: MailRoute) -> list[str]:
    return [domain for domain, route in found.items() if route is wanted]


def _asked(found: Mapping[str, MailRoute], domains: int) -> MailDomainsAsked:
    """Return, in numbers, what is known of so many domains."""
    routes = {route.value: len(_those(found, route)) for route in MailRoute}
    routes[MailRoute.NOT_ASKED] += domains - len(found)
    return MailDomainsAsked(
        domains=domains,
        asked=domains - routes[MailRoute.NOT_ASKED],
        routes=routes,
        unknown=_those(found, MailRoute.UNKNOWN)[:_UNKNOWN_SHOWN],
    )


def _place(preview: Preview, noted: NotedRequest, domains: Collection[str]) -> Place:
    """Return the first row of an order, and its addresses at some domains."""
    emails = dict.fromkeys(entry.email for entry in noted.order.entries)
    at_these = [email for email in emails if email.partition("@")[2].lower() in domains]
    more = f" and {len(at_these) - _ADDRESSES_SHOWN} more" if at_these[_ADDRESSES_SHOWN:] else ""
    return Place(
        file=preview.inputs[noted.input_ordinal].path,
        line=noted.line,
        text=f"{subject_of(noted.order)}: {', '.join(at_these[:_ADDRESSES_SHOWN])}{more}",
    )


MOST_STEPS = 60
_NICE_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)  # where no window says how long a step is


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the time at work, and the requests made in it."""

    began_at: float  # seconds since the epoch
    from_s: float  # seconds at work before it
    to_s: float
    made: int
    most: float | None  # requests a minute, that the windows allowed
    is_first: bool = False  # of a start

    @property
    def per_minute(self) -> float:
        """Requests a minute in this step."""
        return self.made * 60 / (self.to_s - self.from_s)


def end_of(pause: PauseNote) -> float:
    """Return when a pause ended, or was to end where it was cut off."""
    if pause.ended_at is not None and pause.ended_at > pause.began_at:
        return pause.ended_at
    return pause.until_at or pause.began_at


def with_pauses(periods: Sequence[ActivePeriod], pauses: Sequence[PauseNote]) -> list[ActivePeriod]:
    """Return times at work that last as long as the pauses in them, not only as their requests."""
    lasting: list[ActivePeriod] = []
    for place, period in enumerate(periods):
        next_at = periods[place + 1].from_at if place + 1 < len(periods) else inf
        ends = [end_of(pause) for pause in pauses if period.from_at <= pause.began_at < next_at]
        to_at = min(next_at, max([period.to_at, *ends]))
        lasting.append(ActivePeriod(period.start, period.from_at, to_at, period.limits))
    return lasting


def step_length_s(lasted_s: float, windows: Iterable[Window]) -> float:
    """Return how long the steps of a run that was at work so long are, in seconds.

    The longest window that fits several times, or a multiple of it: over less than a window, what
    was made says little, for a whole window's requests may leave at once.
    """
    periods = sorted(window.period_s for window in windows)
    fitting = [period for period in periods if period * 4 <= lasted_s]
    one = fitting[-1] if fitting else (periods[0] if periods else None)
    if one is None:
        one = next((nice for nice in _NICE_S if nice * MOST_STEPS >= lasted_s), _NICE_S[-1])
    return one * max(1, ceil(lasted_s / one / MOST_STEPS))


def most_per_minute(step_s: float, windows: Sequence[Window]) -> float | None:
    """Return the most requests a minute that windows allow over a step; None without a limit.

    A step is covered by ceil(step / W) windows of W seconds, each with N requests at most.
    """
    most = min((window.limit * ceil(step_s / window.period_s) for window in windows), default=inf)
    return None if most == inf else most * 60 / step_s


def lasting_per_minute(windows: Sequence[Window]) -> float | None:
    """Return the most requests a minute that windows allow in the long run; None: no limit."""
    return min((window.limit * 60 / window.period_s for window in windows), default=None)


def steps_of(
    made: Sequence[tuple[int, int]], step_s: float, period: ActivePeriod, at_work_s: float,
    most: float | None,
) -> list[Step]:  # fmt: skip
    """Return the steps of a time at work, those without a request too.

    `made`: step -> requests. `at_work_s`: how long earlier starts were.
    """
    counts = dict(made)
    last = max(max(counts, default=0), ceil((period.to_at - period.from_at) / step_s) - 1)
    return [
        Step(
            began_at=period.from_at + place * step_s,
            from_s=at_work_s + place * step_s,
            to_s=at_work_s + (place + 1) * step_s,
            made=counts.get(place, 0),
            most=most,
            is_first=place == 0,
        )
        for place in range(last + 1)
    ]


def at_work_s(at: float, steps: Sequence[Step]) -> float:
    """Return how many seconds at work there were before a moment; those between starts are none."""
    passed_s = 0.0
    for step in steps:
        if step.began_at > at:
            break
        passed_s = min(step.from_s + at - step.began_at, step.to_s)
    return passed_s
