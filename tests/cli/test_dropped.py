"""A CA that mails and then drops the connection: what is counted is what it saw."""

import json
from pathlib import Path

from tests.cli.conftest import desk_with_ca, results


async def test_an_outage_that_mails_and_never_answers_mails_no_order_beyond_its_attempts(
    tmp_path: Path,
) -> None:
    faults = {"drop": 1.0}
    async with desk_with_ca(tmp_path, faults=faults) as (desk, ca):
        desk.write_list(30)
        stopped = await desk.run("send", "orders.csv", "--max-attempts", "1", "--patience", "8s")
        assert stopped.code == 4, stopped.err
        assert max(ca.books.mails_per_order.values()) == 1
        assert desk.summary()["requests"]["possible_duplicates"] == 0
        assert desk.summary()["orders"]["in_doubt"] == len(ca.books.mails_per_order)


async def test_what_is_in_doubt_stays_so_and_is_explained_so_when_the_ca_is_gone_later(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={"drop": 1.0}) as (desk, ca):
        numbers = desk.write_list(3)
        held = await desk.run("send", "orders.csv", "--in-doubt", "hold")
        assert (held.code, ca.books.mails) == (3, 3)
    gone = await desk.run("send", "orders.csv", "--patience", "0s", "--report-dir", "later")
    assert gone.code == 4
    assert {r["status"] for r in results(tmp_path / "later")} == {"in_doubt"}
    assert "3 in doubt: an attempt of an earlier run had no answer" in gone.out
    assert "No connection to the CA could be made" not in gone.out
    told = json.loads((await desk.run("history", numbers[0], "--format", "json")).out)
    assert {event["outcome"] for event in told} == {"in_doubt"}
