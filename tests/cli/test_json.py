"""For programs: every command has --json, and prints one document then, as the schema has it."""

import json
from pathlib import Path
from typing import Any

import pytest

from batch_resend.cli.main import cli
from batch_resend.simulator import Simulator
from tests.cli.conftest import KEY, Desk, desk_with_ca, ended, until
from tests.cli.screen import on_screen
from tests.cli.test_sweep import wait
from tests.report.schemas import output_of
from tests.report.test_schemas import parts

# Each command with words by which it ends, after a run of a list of three orders, one unknown.
COMMANDS: dict[str, list[tuple[str, ...]]] = {
    "check": [("orders.csv", "damaged.csv")],
    "completion": [("bash",)],
    "config": [("show",), ("show", "sweep", "--max-orders", "3")],
    "doctor": [()],
    "export": [
        ("--out", "waiting.csv", "--overwrite"),
        ("--out", "waiting.jsonl", "--overwrite", "--format", "jsonl"),
    ],
    "help": [(), ("mail",)],
    "history": [("700000",), ("d0.o700001.example.com",), ("5",), ("1",)],
    "prune": [(), ("--journal", "none.db"), ("--dry-run",)],
    "report": [()],
    "resume": [("--dry-run",), ()],
    "runs": [(), ("--journal", "none.db")],
    "send": [
        ("other.csv",),
        ("orders.csv", "-q"),
        ("orders.csv", "--strict", "--max-rejected", "0"),
        ("orders.csv", "--dry-run"),
    ],
    "show": [(), ("--format", "csv")],
    "sweep": [("--yes",), ("--yes", "-q", "--older-than", "900d"), ("--dry-run",)],
    "verify": [(), ("--names",)],
    "watch": [()],
}
IN_A_PROCESS = {"cluster", "simulate", "worker"}  # each has a test of its own


def test_every_command_has_the_option_and_is_tried() -> None:
    assert {*COMMANDS, *IN_A_PROCESS} == set(cli.commands)
    for command in cli.commands.values():
        assert [one for one in command.params if "--json" in one.opts], command.name


@pytest.mark.parametrize("name", sorted(COMMANDS))
async def test_a_command_prints_one_document_as_its_schema_has_it_and_nothing_else(
    tmp_path: Path, name: str
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"700001"})) as (desk, ca):
        wait(ca, 3)
        desk.write_list(3)
        desk.write("other.csv", "order_id\n100200301\n")
        desk.write("damaged.csv", "order_id,domain,email\n5,a.example,nobody\n")
        assert (await desk.run("send", "orders.csv")).code == 3
        if name == "history":
            assert (await desk.run("send", "orders.csv", "damaged.csv")).code == 3
        if name == "resume":
            await begin_and_stop(desk, ca)
        for words in COMMANDS[name]:
            done = await desk.run(name, "--json", *words)
            plain = None if name in {"send", "sweep", "resume"} else await desk.run(name, *words)
            document = json.loads(done.out)
            output_of(name).validate(document)
            assert plain is None or plain.code == done.code
            assert (
                not isinstance(document, dict) or document.get("exit_code", done.code) == done.code
            )


async def begin_and_stop(desk: Desk, ca: Simulator) -> None:
    """Leave a run unfinished."""
    before = ca.books.requests
    desk.write("rest.csv", "order_id\n100200311\n100200312\n")
    sending = await desk.start("send", "rest.csv", "--limit", "4/10m")
    await until(lambda: ca.books.requests > before)
    sending.terminate()
    await ended(sending)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        pytest.param(("send", "none.csv"), 1, "none.csv: cannot be read", id="an unreadable list"),
        pytest.param(("send",), 2, "Missing argument", id="wrong usage"),
        pytest.param(("show", "1999"), 1, "no journal here yet", id="no such run"),
        pytest.param(("export",), 2, "name a file for the list", id="no file"),
        pytest.param(("sweep", "--patience", "0s"), 1, "", id="a CA that is gone"),
        pytest.param(("--config", "none.toml", "runs"), 1, "none.toml", id="settings"),
        pytest.param(("simulate", "--", "true"), 2, "belongs to the command", id="not its output"),
    ],
)
async def test_where_a_command_cannot_be_carried_out_the_document_says_why(
    desk: Desk, words: tuple[str, ...], code: int, why: str
) -> None:
    at = words.index("--") if "--" in words else len(words)
    done = await desk.run(*words[:at], "--json", *words[at:])
    document = json.loads(done.out)
    output_of("error").validate(document)
    assert (done.code, document["exit_code"]) == (code, code)
    assert why in document["error"]
    assert document["error"].splitlines()[0] in done.err


async def test_a_run_that_was_cut_short_has_its_document_too(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, latency_s=(5.0, 5.0)) as (desk, ca):
        desk.write_list(3)
        async with on_screen(desk, "send", "orders.csv", "--json") as screen:
            await screen.shows(lambda shown: "now? [y/N]" in shown.text)
            screen.type(b"n\n")
            assert await screen.ended() == 1
        document = json.loads(screen.text[screen.text.rindex("\n{") :].replace("\n", ""))
        output_of("send").validate(document)
        assert document["error"] == "nothing was sent: a person said no"
        assert ca.books.requests == 0


async def test_addresses_are_masked_in_the_document_too(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(1, name="of-somebody@example.com.csv")
        sent = await desk.run("send", "of-somebody@example.com.csv", "--json", "--redact")
        output_of("send").validate(json.loads(sent.out))
        assert "somebody@example.com" not in sent.out
        assert KEY not in sent.out + sent.err


@pytest.mark.parametrize("words", [("send", "orders.csv"), ("sweep", "--yes"), ("verify",)])
async def test_progress_is_an_object_a_line_up_to_the_last_order(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"700001"})) as (desk, ca):
        wait(ca, 3)
        desk.write_list(3)
        if words[0] == "verify":
            await desk.run("send", "orders.csv")
        done = await desk.run(*words, "-q", "--progress", "json", "--json")
        lines = [json.loads(line) for line in done.err.splitlines()]
        for line in lines:
            output_of("progress").validate(line)
        assert lines[-1]["done"] == lines[-1]["total"]
        if words[0] == "send":
            assert lines[-1]["outcomes"] == {"sent": 2, "refused": 1, "in_doubt": 0, "failed": 0}
        output_of(words[0]).validate(json.loads(done.out))


async def test_without_progress_nothing_is_said_of_it(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        async with on_screen(desk, "send", "orders.csv", "--yes", "--progress", "none") as screen:
            assert await screen.ended() == 0
        assert b"sending" not in screen.sent


async def test_a_simulator_says_where_it_is(desk: Desk) -> None:
    simulator = await desk.start("simulate", "--json")
    assert simulator.stdout is not None
    document = json.loads(await simulator.stdout.readuntil(b"}\n"))
    output_of("simulate").validate(document)
    desk.write_list(1)
    sent = await desk.run("send", "orders.csv", "--base-url", document["base_url"])
    assert sent.code == 0, sent.err
    simulator.terminate()
    assert (await ended(simulator)).out == ""


@pytest.mark.parametrize("of", ["run", "error", "progress", "prune", "export", "simulate"])
def test_a_schema_takes_nothing_less_and_nothing_more(of: str) -> None:
    document: dict[str, Any] = EXAMPLES[of]
    validator = output_of(of)
    assert validator.is_valid(document)
    for part in filter(None, parts(document)):  # what is empty may have any key
        for key in list(part):
            without = part.pop(key)
            assert not validator.is_valid(document) or of == "run", key
            part[key] = without
        part["surprise"] = 1
        assert not validator.is_valid(document)
        del part["surprise"]


EXAMPLES: dict[str, dict[str, Any]] = {
    "run": {
        "text": "batch-resend: nothing to send", "profile": None, "exit_code": 0, "error": None,
        "report": None, "report_url": None,
    },
    "error": {"exit_code": 1, "error": "no"},
    "progress": {
        "event": "progress", "at": "2026-11-29T01:00:00.000Z", "doing": "sending", "total": 3,
        "done": 1, "outcomes": {"sent": 1, "refused": 0, "in_doubt": 0, "failed": 0},
        "in_flight": 2, "rate_per_s": 1.5, "limits": ["40/1s"], "share": 1.0, "retries": 0,
        "unsettled": {}, "held_up_by": None,
        "held_up_s": None, "paused_accounts": [], "left_s": None,
    },
    "prune": {
        "journal": "j.db", "dry_run": False, "runs": 0, "rows": 0, "reports": 0,
        "not_started": 0, "bytes_before": None, "bytes_after": None, "forgotten": [],
    },
    "export": {
        "file": "w.csv", "waiting": 1, "approved": 0, "unusable": 0, "unread": 0,
        "with_addresses": 0, "not_listed": 0, "other_domains": 0, "unread_left_out": 0,
    },
    "simulate": {"base_url": "http://127.0.0.1:1/services/v2", "books_url": "http://127.0.0.1:1/"},
}  # fmt: skip
