"""The schemas refuse what no report says.

That they take what reports say is seen wherever the command line's tests read one.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import desk_with_ca, read_summary, results
from tests.report.schemas import schema

pytestmark = pytest.mark.asyncio


async def reported(folder: Path) -> dict[str, Any]:
    """Return a summary, and a line of the results, by their schemas' names."""
    async with desk_with_ca(folder) as (desk, _):
        desk.write("orders.csv", "order_id,domain,email\n1001,example.com,admin@example.com\n")
        assert (await desk.run("send", "orders.csv")).code == 0
        (line,) = results(desk.report())
        return {"summary": read_summary(desk.report()), "results": line}


async def test_nothing_may_be_missing_added_or_of_another_kind(tmp_path: Path) -> None:
    found = await reported(tmp_path)
    for name, document in found.items():
        assert schema(name).is_valid(document)
        for part in parts(document):
            for key in list(part):
                kept = part.pop(key)
                assert not schema(name).is_valid(document), f"{name} without {key}"
                part[key] = kept
            part["surprise"] = 1
            assert not schema(name).is_valid(document), f"{name} with a surprise in {part}"
            del part["surprise"]
    for name, path, wrong in WRONG:
        document = deepcopy(found[name])
        *inner, last = path
        part = document
        for key in inner:
            part = part[key]
        part[last] = wrong
        (error,) = schema(name).iter_errors(document)
        assert list(error.absolute_path)[: len(path)] == path


WRONG: list[tuple[str, list[Any], object]] = [
    ("summary", ["state"], "under way"),
    ("summary", ["started_at"], "2026-11-25 12:00:00"),
    ("summary", ["orders", "sent"], -1),
    ("summary", ["limits"], ["1000"]),
    ("summary", ["inputs", 0, "sha256"], "abc"),
    ("summary", ["back_pressure", "lowest_share"], 1.5),
    ("results", ["status"], "accepted"),
    ("results", ["attempts"], "1"),
    ("results", ["order_id"], 1001),
    ("results", ["source", 0, "line"], 0),
    ("results", ["source"], []),
    ("results", ["possible_duplicate"], "no"),
]


def parts(found: Any) -> list[dict[str, Any]]:
    """Return all objects within a value, itself too."""
    if isinstance(found, list):
        return [part for item in found for part in parts(item)]
    if isinstance(found, dict):
        return [found, *(part for item in found.values() for part in parts(item))]
    return []
