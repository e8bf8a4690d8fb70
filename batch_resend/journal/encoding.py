"""How the journal keeps values: entries, calls, forms of lists, and runs."""

import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic_core import from_json, to_json

from batch_resend.journal.statements import Record
from batch_resend.model import Call, Entry, ListForm, ListKind, Request, Run, RunState


def encode_entries(entries: Iterable[Entry]) -> str:
    """Return entries as a JSON array; nothing for none."""
    listed = [(entry.domain, entry.email, entry.email_domain) for entry in entries]
    return to_json(listed).decode() if listed else ""


def decode_entries(text: str | None) -> tuple[Entry, ...]:
    """Return entries as they were kept."""
    return tuple(Entry(*listed) for listed in from_json(text)) if text else ()


def encode_kept(kept: Sequence[tuple[str, str]]) -> str | None:
    """Return what stays with a row as a JSON object; None for nothing."""
    return to_json(dict(kept)).decode() if kept else None


def decode_kept(text: str | None) -> Mapping[str, str]:
    """Return what stays with a row as it was kept, by field."""
    return from_json(text) if text else {}


def encode_form(form: ListForm) -> str:
    """Return how a list was read as a JSON object."""
    return to_json(form).decode()


def decode_form(text: str) -> ListForm:
    """Return how a list was read as it was kept."""
    values = from_json(text)
    for name in ("columns", "kept"):
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
        settings=json.loads(record.settings),
        session=record.session,
        distributed_by=record.distributed_by,
    )
