"""Whatever the CA answers, the examination ends with findings, and has asked with GET alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from batch_resend.certcentral import Route
from batch_resend.clock import SystemClock
from batch_resend.doctor import Check, Diagnosis, Finding, Group, Result, Setup, Subject, examine
from batch_resend.doctor.examination import OF_READS
from batch_resend.settings import make_settings
from tests.certcentral.fault_server import FaultServer, answer
from tests.doctor.answers import CHANGES, ORDER, READS, USER, VALIDATION, ca, says

pytestmark = pytest.mark.asyncio

KEY = "a-key-of-a-test-0123456789"
WILD = {
    "null": says(None),
    "a list": says([]),
    "a text": says("x"),
    "a number": says(7),
    "a list of lists": says([[1]]),
    "odd orders": says({"orders": [[], None, {"id": []}, {"id": 1, "product": []}]}),
    "odd parts": says({"id": {}, "page": 7, "access_roles": {"id": 102}, "api_keys": [[]]}),
    "half a character": answer(200, b'{"id": 1, "username": "\\ud800"}'),
    "no text": answer(200, b"\xff\xfe\x00"),
    "deep": answer(200, b'{"a":' * 5_000),
    "a huge number": answer(200, b'{"id": 1' + b"0" * 5_000 + b"}"),
    "no content": answer(204),
    "a status of its own": b"HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n",
}


async def examined(server: FaultServer, folder: Path) -> tuple[Diagnosis, list[Finding]]:
    """Examine one account; return what was found, and what was shown meanwhile."""
    settings = make_settings(
        api_key=KEY, base_url=server.base_url, journal=folder / "journal.db", windows=()
    )
    key = settings.key(None)
    found = [Finding(Check.KEY, Result.OK, "there")]
    subject = Subject("CertCentral", (), server.base_url, found, key, Route(), False)
    shown: list[Finding] = []

    def show(_: Group, finding: Finding) -> None:
        shown.append(finding)

    setup = Setup(folder / "journal.db", settings, [subject], 5.0)
    return await examine(setup, SystemClock(), show), shown


@pytest.mark.parametrize("read", READS)
async def test_whatever_any_read_is_answered_with_every_check_has_a_finding(
    tmp_path: Path, read: str
) -> None:
    for said in WILD.values():
        async with FaultServer(ca(**{read: said})) as server:
            found, shown = await examined(server, tmp_path)
            assert all(head.startswith(b"GET ") for head in server.heads)
            assert server.requests == found.requests <= len(READS)
        checks = [finding.check for finding in found.groups[1].findings]
        assert sorted(checks) == sorted(set(checks)), "none twice"
        assert set(OF_READS) <= set(checks)
        assert shown == list(found.findings)
        if read not in (USER,):
            assert found.count(Result.PROBLEM) == 0


async def test_each_read_is_in_the_journal_with_its_end_so_that_its_slot_comes_free_in_time(
    tmp_path: Path,
) -> None:
    async with FaultServer(ca()) as server:
        await examined(server, tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
        rows = journal.execute("SELECT ended_at >= begun_at, in_doubt FROM reads").fetchall()
    assert rows == [(1, 0)] * len(READS)


@pytest.mark.parametrize("read", [USER, ORDER, VALIDATION, CHANGES])
async def test_what_is_no_object_deviates(tmp_path: Path, read: str) -> None:
    async with FaultServer(ca(**{read: says("x")})) as server:
        found, _ = await examined(server, tmp_path)
    (warned,) = [finding for finding in found.findings if finding.result is Result.WARNING]
    (deviation,) = warned.deviations
    assert (deviation.path, deviation.found) == ("", "<text 1>")
    assert warned.sample == "<text 1>"
