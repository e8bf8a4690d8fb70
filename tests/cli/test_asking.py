"""Whether it asks before it sends: wherever there is a terminal, whatever its streams are."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, desk_with_ca
from tests.cli.screen import on_screen

pytestmark = pytest.mark.asyncio

QUESTION = "Send 3 requests to 127.0.0.1 now? [y/N]"
STREAMS = ("stdin", "stdout", "stderr")


@contextmanager
def redirected(desk: Desk, names: set[str]) -> Iterator[dict[str, int]]:
    """Open what streams are redirected to: the list for standard input, files for the others."""
    flags = os.O_RDWR | os.O_CREAT
    opened = {
        name: os.open(desk.folder / ("orders.csv" if name == "stdin" else name), flags)
        for name in names
    }
    try:
        yield opened
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


def list_of(names: set[str]) -> str:
    return "-" if "stdin" in names else "orders.csv"


ALL_REDIRECTIONS = [
    {name for name, wanted in zip(STREAMS, chosen, strict=True) if wanted}
    for chosen in product((False, True), repeat=3)
]


@pytest.mark.parametrize("names", ALL_REDIRECTIONS, ids=lambda names: "+".join(sorted(names)))
@pytest.mark.parametrize("answer", [b"n\n", b"y\n"])
async def test_on_a_terminal_it_asks_there_whatever_streams_are_redirected(
    tmp_path: Path, names: set[str], answer: bytes
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        with redirected(desk, names) as streams:
            async with on_screen(desk, "send", list_of(names), streams=streams) as screen:
                await screen.shows(lambda seen: QUESTION in seen.text)
                assert "3 to send" in screen.text, "the plan, where the question is"
                assert ca.books.requests == 0
                screen.type(answer)
                code = await screen.ended()
        assert (code, ca.books.requests) == ((0, 3) if answer == b"y\n" else (1, 0))


@pytest.mark.parametrize("names", ALL_REDIRECTIONS, ids=lambda names: "+".join(sorted(names)))
async def test_yes_sends_without_a_question(tmp_path: Path, names: set[str]) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        with redirected(desk, names) as streams:
            words = ("send", list_of(names), "--yes")
            async with on_screen(desk, *words, streams=streams) as screen:
                assert await screen.ended() == 0
                assert QUESTION not in screen.text
        assert ca.books.requests == 3


@pytest.mark.parametrize("names", ALL_REDIRECTIONS, ids=lambda names: "+".join(sorted(names)))
async def test_on_a_terminal_that_is_not_the_controlling_one_it_asks_or_sends_nothing(
    tmp_path: Path, names: set[str]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        with redirected(desk, names) as streams:
            words = ("send", list_of(names))
            async with on_screen(desk, *words, streams=streams, is_controlling=False) as screen:
                if names.isdisjoint({"stdin", "stderr"}):
                    await screen.shows(lambda seen: QUESTION in seen.text)
                    screen.type(b"y\n")
                code = await screen.ended()
        err = screen.text + "".join((tmp_path / name).read_text() for name in names & {"stderr"})
        if names.isdisjoint({"stdin", "stderr"}):
            assert (code, ca.books.requests) == (0, 3)
        elif names == set(STREAMS):
            assert (code, ca.books.requests) == (0, 3), "no terminal at all, as under cron"
        else:
            assert (code, ca.books.requests) == (1, 0)
            assert "--yes" in err


@pytest.mark.parametrize("names", ALL_REDIRECTIONS, ids=lambda names: "+".join(sorted(names)))
async def test_in_the_background_of_a_terminal_it_sends_nothing_without_yes(
    tmp_path: Path, names: set[str]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        with redirected(desk, names) as streams:
            # A shell with job control: what it starts with & is no part of the foreground.
            command = shlex.join(desk.command("send", list_of(names)))
            script = f"set -m; {command} <&0 & wait $!; echo ended with $?"
            program = ["sh", "-c", script]
            async with on_screen(desk, program=program, streams=streams, columns=200) as screen:
                await screen.ended()
        told = screen.text + "".join((tmp_path / n).read_text() for n in names - {"stdin"})
        assert "ended with 1" in told
        assert "in the background" in told
        assert "--yes" in told
        assert ca.books.requests == 0


async def test_without_a_terminal_it_goes_ahead(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        sent = await desk.run("send", "-", stdin=(tmp_path / "orders.csv").read_bytes())
        assert sent.code == 0, sent.err
        assert ca.books.requests == 3


@pytest.mark.parametrize("words", [("resume",), ("sweep", "--older-than", "0")])
async def test_resume_and_sweep_ask_as_well(tmp_path: Path, words: tuple[str, ...]) -> None:
    async with desk_with_ca(tmp_path, orders=3) as (desk, ca):
        desk.write("orders.csv", "order_id\n1\n2\n3\nx\n")
        assert (await desk.run("send", "orders.csv", "--strict")).code == 3, "held back"
        before = ca.books.mails
        run_id = await held_back_run(desk)
        named = (*words, run_id) if words == ("resume",) else words
        with redirected(desk, {"stdin", "stderr"}) as streams:
            async with on_screen(desk, *named, streams=streams) as screen:
                await screen.shows(lambda seen: "now? [y/N]" in seen.text)
                screen.type(b"n\n")
                assert await screen.ended() == 1
        assert ca.books.mails == before


async def held_back_run(desk: Desk) -> str:
    """Return the name of the only run."""
    (run_id,) = [path.name for path in (desk.folder / "reports").iterdir()]
    return run_id


async def test_what_is_no_answer_is_asked_again_and_the_end_of_input_sends_nothing(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(3)
        with redirected(desk, {"stdin"}) as streams:
            async with on_screen(desk, "send", "-", streams=streams) as screen:
                await screen.shows(lambda seen: QUESTION in seen.text)
                screen.type(b"perhaps\n")
                await screen.shows(lambda seen: seen.text.count(QUESTION) == 2)
                screen.type(b"\x04")
                assert await screen.ended() == 130
        assert ca.books.requests == 0
