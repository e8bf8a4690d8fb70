"""What ends a run before its end: one clear line, the right exit code, and nothing sent."""

from pathlib import Path

import pytest

from batch_resend.simulator import FaultName, Simulator, SimulatorSettings
from tests.cli.conftest import Desk, desk_with_ca
from tests.cli.screen import answered_on_terminal

LISTS = {
    "good.csv": "order_id\n1\n",
    "empty.csv": "",
    "blank.csv": "\n\n  \n",
    "heading.csv": "order_id,domain,email\n",
    "foreign.csv": "Bestellung,Wohin\n1,a\n",
    "half.csv": "order_id,domain\n1,example.com\n",
    "twice.csv": "order_id,Order Number\n1,2\n",
    "quote.csv": 'order_id\n"1\n2\n',
    "array.json": "[1, 2",
}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.csv"], 1, "gone.csv: cannot be read: No such file or directory"),
        (["."], 1, ".: cannot be read: Is a directory"),
        (["empty.csv"], 1, "empty.csv: is empty"),
        (["blank.csv"], 1, "blank.csv: is empty"),
        (["heading.csv"], 1, "heading.csv: has a heading, but no rows"),
        (["good.csv", "gone.csv"], 1, "gone.csv: cannot be read"),
        (["foreign.csv"], 1, "foreign.csv, line 1: no column holds the order number; the columns "
                             "are 'Bestellung', 'Wohin'. Say which it is: --map order_id="),
        (["good.csv", "--map", "order_id=Auftrag"], 1, "good.csv, line 1: --map order_id='Auftrag' "
                                                       "names a column that is not there"),
        (["half.csv"], 1, "a column for the domain, but none for the email"),
        (["twice.csv"], 1, "the columns 'order_id', 'Order Number' could each hold"),
        (["quote.csv"], 1, "quote.csv, line 2: not CSV"),
        (["array.json"], 1, "array.json, line 1: not JSON: ',' is expected; was it copied"),
        (["good.csv", "--api-key-file", "no.txt"], 1, "--api-key-file no.txt: No such file"),
        (["good.csv", "--limit", "fast"], 1, "--limit: 'fast' is not a limit: write 1000/3m"),
        (["good.csv", "--base-url", "http://example.com"], 1, "API key is sent over https only"),
        (["good.csv", "--concurrency", "0"], 1, "concurrency"),
        (["good.csv", "--journal", "good.csv"], 1, "good.csv: the journal cannot be used"),
        (["good.csv", "--config", "gone.toml"], 2, "--config stands before the command"),
        ([], 2, "Missing argument 'INPUT...'"),
        (["good.csv", "--cooldown", "soon"], 2, "'soon' is not a length of time"),
        (["good.csv", "--map", "colour=Farbe"], 2, "FIELD is one of order_id, domain"),
        (["good.csv", "--in-doubt", "maybe"], 2, "'maybe' is not one of 'retry', 'hold'"),
    ],
)  # fmt: skip
async def test_a_run_that_cannot_start_says_why_and_sends_nothing(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        for name, text in LISTS.items():
            desk.write(name, text)
        refused = await desk.run("send", *arguments)
        assert said in refused.err
        assert refused.code == code
        assert "Traceback" not in refused.err
        assert ca.books.requests == 0
        assert not (tmp_path / "reports").exists()


async def test_a_declined_question_sends_nothing_and_leaves_no_run(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        code, told = await answered_on_terminal(
            desk, "Send 3 requests to 127.0.0.1 now? [y/N]", b"n\n"
        )
        assert code == 1
        assert "3 to send" in told
        assert "Nothing was sent." in told
        assert ca.books.requests == 0
        assert "No runs yet" in (await desk.run("runs")).out


async def test_the_simulator_says_when_its_port_is_taken(desk: Desk) -> None:
    async with Simulator(SimulatorSettings()) as ca:
        port = ca.base_url.split(":")[2].split("/")[0]
        refused = await desk.run("simulate", "--port", port)
        assert refused.code == 1
        assert f"cannot listen on 127.0.0.1:{port}" in refused.err


async def test_what_a_key_without_permission_was_denied_is_left_for_a_next_run(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, faults={FaultName.NO_PERMISSION: 1.0}) as (desk, ca):
        numbers = desk.write_list(20)
        denied = await desk.run("send", "orders.csv")
        assert denied.code == 4, denied.err
        assert "the API key may not do this" in denied.err
        assert ca.books.requests == 5
        unsent = desk.report() / "unsent.csv"
    async with desk_with_ca(tmp_path) as (desk, ca):
        again = await desk.run("send", str(unsent), "--report-dir", "again")
        assert again.code == 0, again.err
        assert ca.books.mails_per_order == dict.fromkeys(numbers, 1)
