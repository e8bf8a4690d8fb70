"""The journal's statements, by name, for SQLite and PostgreSQL; how values are kept.

All SQL is in the folders `sql`, a file for each theme. `-- name: x` begins a statement, and
`-- part: x` what several have in common, which stands in them as {x}. So do the words in which the
two databases differ.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal, NamedTuple

from pydantic_core import from_json, to_json

from batch_resend.calls import CALLS
from batch_resend.list_form import ListForm, ListKind
from batch_resend.model import Call, Entry, Problem, Request, RowStatus, Run, RunState
from batch_resend.results import Source

Dialect = Literal["sqlite", "postgresql"]
Record = Any  # what a statement finds: a named tuple of its columns
Values = Mapping[str, object]
Change = tuple[str, Values]  # a statement's name, and what it is carried out with


class RowValues(NamedTuple):
    """What the statement `add_row` writes of a row."""

    run: int
    seq: int
    input: int
    line: int
    status: RowStatus
    order_id: str | None
    locale: str | None
    entries: str | None
    skip: str | None
    notes: str
    call: str | None
    account: str | None
    problem: Problem | None
    reason: str | None
    raw: str
    kept: str | None


class RequestValues(NamedTuple):
    """What the statement `add_request` writes of a request."""

    run: int
    number: int
    position: int
    order_id: str
    locale: str | None
    entries: str
    digest: bytes
    skip: str | None
    notes: str
    call: str | None
    account: str | None


class Assignment(NamedTuple):
    """What the statement `assign_row` writes of what becomes of a row."""

    seq: int
    status: RowStatus
    request: int | None
    problem: Problem | None = None
    reason: str | None = None


# Texts are sorted by code points in both, whatever the database's language: requests are numbered
# by it. A session lives as long as its process works with the journal; a file is open to one at a
# time, so there is no other.
_ABOUT_DOMAINS = ", ".join(f"'{call}'" for call in Call if CALLS[call].is_about_domain)
_WORDS: Mapping[Dialect, Mapping[str, str]] = {
    "sqlite": {
        "text": "TEXT",
        "blob": "BLOB",
        "serial": "INTEGER",
        "without_rowid": "WITHOUT ROWID",
        "tables": "SELECT name FROM sqlite_master WHERE type = 'table'",
        "living": "()",
        "about_domains": f"({_ABOUT_DOMAINS})",
        "trunc": "",
        "temporary": "temp.",
        "index_by_place": "",
        "requests_by_place": "rows CROSS JOIN requests ON requests.run = rows.run "
        "AND requests.number = rows.request AND requests.position = rows.seq",
        "place": "rows.seq",
        "run_there": "rows.run",
        "request_there": "rows.request",
        "each_entry": "json_each(nullif(requests.entries, '')) AS entry",
        "domain": "ltrim(json_extract(entry.value, '$[0]'), '*.')",
        "domain_of_subject": "ltrim(substr(requests.order_id, instr(requests.order_id, ' ') + 1), "
        "'*.')",
        "mail_domain": "lower(substr(json_extract(entry.value, '$[1]'), "
        "instr(json_extract(entry.value, '$[1]'), '@') + 1))",
        "run_profile": "coalesce(json_extract(runs.settings, '$.profile'), '')",
        "accounts_of_run": "json_each(runs.settings, '$.accounts') AS accounts",
        "accounts_here": "json_each(:urls) AS accounts",
        "product": "json_extract(rows.kept, '$.product')",
        "json_array": "json_array",
        "json_of_all": "json_group_array",
    },
    "postgresql": {
        "text": 'TEXT COLLATE "C"',
        "blob": "BYTEA",
        "serial": "SERIAL",
        "without_rowid": "",
        "tables": "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema",
        "living": "(SELECT number FROM living)",
        "about_domains": f"({_ABOUT_DOMAINS})",
        "trunc": "trunc",
        "temporary": "",
        "index_by_place": "CREATE INDEX requests_in_list_order ON requests (run, position)",
        "requests_by_place": "requests",
        "place": "requests.position",
        "run_there": "requests.run",
        "request_there": "requests.number",
        "each_entry": "json_array_elements(CAST(nullif(requests.entries, '') AS json)) AS entry",
        "domain": "ltrim(entry.value ->> 0, '*.') COLLATE \"C\"",
        "domain_of_subject": "ltrim(substr(requests.order_id, strpos(requests.order_id, ' ') + 1), "
        "'*.')",
        "mail_domain": "lower(substr(entry.value ->> 1, strpos(entry.value ->> 1, '@') + 1)) "
        'COLLATE "C"',
        "run_profile": "coalesce(CAST(runs.settings AS json) ->> 'profile', '')",
        "accounts_of_run": "json_each_text(CAST(runs.settings AS json) -> 'accounts') AS accounts",
        "accounts_here": "json_each_text(CAST(:urls AS json)) AS accounts",
        "product": "(CAST(rows.kept AS json) ->> 'product') COLLATE \"C\"",
        "json_array": "json_build_array",
        "json_of_all": "json_agg",
    },
}
_BEGINNING = re.compile(r"^-- (?:name|part): (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"\s*--.*$", re.MULTILINE)
_VALUE = re.compile(r"(?<![:\w]):(\w+)")
# Of several texts, which are one value: a list, or its JSON.
_AMONG = re.compile(r"\bIN :(\w+)")
_AMONG_TEXTS: Mapping[Dialect, str] = {
    "sqlite": r"IN (SELECT value FROM json_each(:\1))",
    "postgresql": r"= ANY(:\1)",
}
_texts: dict[str, str] = {}


def read_statements(package: str) -> None:
    """Make the statements of a package known, by their names."""
    for file in files(package).joinpath("sql").iterdir():
        _, *found = _BEGINNING.split(file.read_text(encoding="utf-8"))
        for name, body in zip(found[::2], found[1::2], strict=True):
            _texts[name] = _COMMENT.sub("", body).strip()


class _Words(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return _texts[name].format_map(self)


def sql(name: str, dialect: Dialect, words: Mapping[str, object] = {}) -> str:
    """Return a statement's text, for one of the databases. `words`: more that it leaves open."""
    return _texts[name].format_map(_Words(_WORDS[dialect], **{k: str(v) for k, v in words.items()}))


class Statement(NamedTuple):
    """A statement as a driver takes it."""

    text: str
    names: Sequence[str]  # of its values, in the order of their places


@cache
def statement(name: str, dialect: Dialect, words: tuple[tuple[str, str], ...] = ()) -> Statement:
    """Return a statement, for one of the databases. `words`: what it leaves open, not values."""
    text = _AMONG.sub(_AMONG_TEXTS[dialect], sql(name, dialect, dict(words)))
    found = _VALUE.findall(text)
    if dialect == "sqlite":
        return Statement(_VALUE.sub("?", text), found)
    names = list(dict.fromkeys(found))  # what is there twice is one value, of one type
    return Statement(_VALUE.sub(lambda value: f"${names.index(value[1]) + 1}", text), names)


read_statements("batch_resend.journal")

# Of what stays with its row: the order that a domain is for.
KEPT_ORDER = "order_id"

# --- how values are kept -------------------------------------------------------------------------


def encode_entries(entries: Sequence[Entry]) -> str:
    """Return entries as a JSON array; nothing for none."""
    # Of plain lists, in half the time that it takes of named tuples.
    return to_json(list(map(list, entries))).decode() if entries else ""


def decode_entries(text: str | None) -> tuple[Entry, ...]:
    """Return entries as they were kept."""
    return tuple(map(Entry._make, from_json(text))) if text else ()


def encode_kept(kept: Sequence[tuple[str, str]]) -> str | None:
    """Return what stays with a row as a JSON object; None for nothing."""
    if not kept:
        return None
    # Of an object with a NUL, PostgreSQL tells no value.
    return to_json({which: text.replace("\0", "") for which, text in kept}).decode()


def decode_kept(text: str | None) -> Mapping[str, str]:
    """Return what stays with a row as it was kept, by field."""
    return from_json(text) if text else {}


def kept_order_like(order_id: str) -> str:
    """Return a pattern of rows that keep an order's number, also with thousands marks.

    It finds more than these: `keeps_order` tells.
    """
    return "%".join(("", f'"{KEPT_ORDER}":"', *_thousands(order_id), ""))


def keeps_order(kept: str | None, order_id: str) -> bool:
    """Whether a row keeps an order's number, alone or among others, as a list may write it."""
    digits = "[ \u00a0\u202f.,'\u2019]?".join(_thousands(order_id))
    whole = rf"(?<![0-9])(?<![0-9]\.)0*{digits}(?:\.0*)?(?!\.?[0-9])"
    return re.search(whole, decode_kept(kept).get(KEPT_ORDER, "")) is not None


def _thousands(number: str) -> list[str]:
    return f"{int(number):,}".split(",")


def decode_sources(text: str) -> tuple[Source, ...]:
    """Return the rows that ask for a request, in the order of the lists.

    `text`: as the statement `sources` puts them together, in whatever order.
    """
    found = sorted(from_json(text))  # by seq, which no two share
    return tuple([Source(ordinal, line, decode_kept(kept)) for _, ordinal, line, kept in found])


def encode_form(form: ListForm) -> str:
    """Return how a list was read as a JSON object."""
    return to_json(form).decode()


def decode_form(text: str) -> ListForm:
    """Return how a list was read as it was kept."""
    values = from_json(text)
    for name in ("columns", "kept", "keys"):
        values[name] = tuple(values[name])
    return ListForm(kind=ListKind(values.pop("kind")), **values)


def encode_call(call: Call) -> str | None:
    """Return a call's name; None for the usual one."""
    return None if call is Call.DV_RESEND else call.value


def decode_call(text: str | None) -> Call:
    """Return a call as it was kept."""
    return Call.DV_RESEND if text is None else Call(text)


def decode_request(
    order_id: str, locale: str | None, entries: str, call: str | None, account: str | None
) -> Request:
    """Return a request of its columns."""
    return Request(order_id, locale, decode_entries(entries), decode_call(call), account)


def request_of(record: Record) -> Request:
    """Return the request of a record that has its columns."""
    return decode_request(
        record.order_id, record.locale, record.entries, record.call, record.account
    )


def run_of(record: Record) -> Run:
    """Return the run of a record of `runs`."""
    settings = json.loads(record.settings)
    return Run(
        number=record.number,
        id=record.id,
        base_url=record.base_url,
        state=RunState(record.state),
        stop_reason=record.stop_reason,
        limits=tuple(record.limits.split()),
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        next_flags=settings.pop("next_flags", {}),  # of the command line's, for nobody else
        settings=settings,
        session=record.session,
        distributed_by=record.distributed_by,
        order_numbers=record.order_numbers,
        preflight_due=bool(record.preflight_due),
        done_since=record.done_since,
    )
