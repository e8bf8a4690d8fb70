"""The requests of a plan for other programs, as they would be sent."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from batch_resend.calls import list_fields
from batch_resend.certcentral import request_body, request_path
from batch_resend.journal import JournalReader
from batch_resend.model import Call, Request, Run
from batch_resend.report import Preview, whole_file


def for_programs(preview: Preview, requests: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return a plan and the first of its requests, as --json has them."""
    return {**preview.model_dump(), "first_requests": requests}


async def first_requests(
    reader: JournalReader, run: Run, most: int, path: Path | None = None
) -> list[dict[str, object]]:
    """Return the first requests, as they would be sent; write all of them, if there is a file."""
    first: list[dict[str, object]] = []
    with whole_file(path) if path else nullcontext() as file:
        async for planned in reader.pending(run):
            request = request_for_programs(planned.request)
            if len(first) < most:
                first.append(request)
            elif file is None:
                break
            if file is not None:
                file.write(json.dumps(request, ensure_ascii=False) + "\n")
    return first


def request_for_programs(order: Request) -> dict[str, object]:
    """Return a request as it would be sent. Its path goes below the base URL."""
    return {
        **list_fields(order.subject, order.call),
        **({} if order.call is Call.DV_RESEND else {"call": order.call}),
        **({} if order.account is None else {"account": order.account}),
        # Read again it stands beside requests that name addresses: there it needs the word.
        **({} if order.entries else {"all_domains": True}),
        "method": "PUT",
        "path": request_path(order),
        "body": json.loads(request_body(order)),
    }
