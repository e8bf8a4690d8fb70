"""The API key: where it is taken from, what is none, and that it comes out nowhere."""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cli.conftest import KEY, Desk, Ended, desk_with_ca, ended, until
from tests.cli.counting_server import (
    Call,
    CountingServer,
    Fate,
    in_turn_per_order,
    mails_and_hangs,
    mails_and_says,
    says,
)

IN_FILE, IN_VARIABLE, IN_CREDENTIAL = "key-in-a-file-0123", "key-in-env-0123", "key-of-systemd-0123"


@pytest_asyncio.fixture
async def ca() -> AsyncIterator[CountingServer]:
    """Return a CA that takes any key."""
    async with CountingServer(Call.accept) as server:
        yield server


@pytest.fixture
def at_desk(tmp_path: Path, ca: CountingServer) -> Desk:
    """Return a folder to work in, with a list and without a key."""
    desk = Desk(tmp_path, ca.base_url)
    desk.environment["BATCH_RESEND_LIMIT"] = "none"
    del desk.environment["DIGICERT_API_KEY"]
    desk.write("orders.csv", "order_id\n100200301\n")
    return desk


def keys_of(ca: CountingServer) -> set[str]:
    """Return the keys that the CA was told."""
    return {
        line.partition(": ")[2]
        for head in ca.heads
        for line in head.decode().split("\r\n")
        if line.startswith("X-DC-DEVKEY: ")
    }


# --- where it comes from ------------------------------------------------------------------------


def put_credential(desk: Desk, text: str) -> None:
    """Have a credential where systemd would put it."""
    folder = desk.folder / "credentials"
    folder.mkdir()
    desk.environment["CREDENTIALS_DIRECTORY"] = str(folder)
    path = desk.write("credentials/digicert-api-key", text)
    path.chmod(0o400)


@pytest.mark.parametrize(
    ("flag", "besides", "taken"),
    [
        ("key.txt", "variable credential", IN_FILE),
        ("key.txt", "credential", IN_FILE),
        ("/dev/stdin", "", IN_FILE),
        ("", "file", IN_FILE),
        ("", "variable credential", IN_VARIABLE),
        ("", "variable", IN_VARIABLE),
        ("", "credential", IN_CREDENTIAL),
    ],
)
async def test_the_file_goes_before_the_variable_and_that_before_the_credential(
    at_desk: Desk, ca: CountingServer, flag: str, besides: str, taken: str
) -> None:
    # With what editors of Windows put around it.
    at_desk.write("key.txt", f"\ufeff{IN_FILE}\r\n").chmod(0o600)
    if "variable" in besides:
        at_desk.environment["DIGICERT_API_KEY"] = IN_VARIABLE
    if "file" in besides:
        at_desk.environment["BATCH_RESEND_API_KEY_FILE"] = "key.txt"
    if "credential" in besides:
        put_credential(at_desk, IN_CREDENTIAL + "\n")
    flags = ("--api-key-file", flag) if flag else ()
    sent = await at_desk.run("send", "orders.csv", *flags, stdin=f"{IN_FILE}\n".encode())
    assert sent.code == 0, sent.err
    assert keys_of(ca) == {taken}
    assert "can be read by other users" not in sent.err


@pytest.mark.parametrize(
    "words",
    ["send orders.csv", "send a.csv", "sweep --yes", "resume", "verify", "export --out waiting.csv",
     "doctor", "resume --dry-run", "send orders.csv --dry-run"],
)  # fmt: skip
async def test_a_key_can_come_through_a_pipe_which_gives_it_once(
    tmp_path: Path, words: str
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(3)
        for name, numbers in (("a.csv", (100200901, 100200902)), ("b.csv", (100200911, 100200912))):
            desk.write(name, "\n".join(map(str, ("order_id", *numbers))) + "\n")
            assert (await desk.run("send", name, "--max-orders", "1")).code == 4
        del desk.environment["DIGICERT_API_KEY"]
        given = ("--api-key-file", "/dev/stdin")
        called = await desk.run(*shlex.split(words), *given, stdin=f"{KEY}\n".encode())
        assert called.code in (0, 3), called.out + called.err


@pytest.mark.parametrize("folder", ["", "gone", "credentials"])
async def test_where_systemd_gives_no_such_credential_there_is_no_key(
    at_desk: Desk, ca: CountingServer, folder: str
) -> None:
    (at_desk.folder / "credentials").mkdir()
    at_desk.environment["CREDENTIALS_DIRECTORY"] = folder and str(at_desk.folder / folder)
    assert_refused(await at_desk.run("send", "orders.csv"), ca, "no API key: put it in a file")


@pytest.mark.parametrize(
    ("mode", "ours", "remedy"),
    [
        (0o644, True, "run chmod 600 key.txt"),
        (0o640, True, "run chmod 600 key.txt"),
        (0o604, True, "run chmod 600 key.txt"),
        (0o600, True, None),
        (0o400, True, None),
        (0o440, False, None),  # as a container's secret is, and what systemd hands to a user
        (0o444, False, "run chmod o= key.txt"),
    ],
)
async def test_a_key_file_that_others_can_read_is_warned_of_with_what_locks_nobody_out(
    at_desk: Desk, ca: CountingServer, monkeypatch: pytest.MonkeyPatch,
    *, mode: int, ours: bool, remedy: str | None,
) -> None:  # fmt: skip
    at_desk.write("key.txt", IN_FILE).chmod(mode)
    user = os.geteuid() if ours else os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    sent = await at_desk.run("send", "orders.csv", "--api-key-file", "key.txt")
    assert sent.code == 0, sent.err
    said = f"key.txt can be read by other users: {remedy}"
    assert said in sent.err if remedy else "can be read by other users" not in sent.err
    assert keys_of(ca) == {IN_FILE}


# --- what is no key -----------------------------------------------------------------------------


def assert_refused(refused: Ended, ca: CountingServer, said: str) -> None:
    """Check that a command ended in one line, which says why, and that nothing was sent."""
    assert refused.code == 1, refused.err
    line, empty = refused.err.split("\n")
    assert line.startswith("batch-resend: ")
    assert said in line
    assert not empty
    assert refused.out == ""
    assert ca.connections == 0


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "a line break inside": (f"{KEY}\n{KEY}\n".encode(), "contains blanks, line breaks"),
    "another header inside": (f"{KEY}\r\nX-Other: 1".encode(), "contains blanks, line breaks"),
    "a blank inside": (f"{KEY} {KEY}".encode(), "contains blanks, line breaks"),
    "a name before it": (f"DIGICERT_API_KEY = {KEY}".encode(), "contains blanks, line breaks"),
    "blanks": (b" \t\r\n\n", "the API key is empty"),
    "nothing": (b"", "the API key is empty"),
    "two bytes a character": (KEY.encode("utf-16"), "not a text file"),
    "an escape code": (f"{KEY}\x1b[2J".encode(), "other characters that no key has"),
    "binary": (bytes(range(256)) + KEY.encode(), "not a text file"),
    "a list by mistake": (b"1\n" * 40_000 + KEY.encode(), "too large to be a key"),
}


@pytest.mark.parametrize(("content", "said"), BAD_FILES.values(), ids=BAD_FILES)
async def test_a_file_that_holds_no_key_ends_in_one_line_that_does_not_show_it(
    at_desk: Desk, ca: CountingServer, content: bytes, said: str
) -> None:
    path = at_desk.folder / "key.txt"
    path.write_bytes(content)
    path.chmod(0o600)
    refused = await at_desk.run("send", "orders.csv", "--api-key-file", "key.txt", "-v")
    assert_refused(refused, ca, said)
    assert KEY[:12] not in refused.err


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gone.txt", "--api-key-file gone.txt: No such file or directory"),
        (".", "--api-key-file .: Is a directory"),
        ("/dev/zero", "--api-key-file /dev/zero: too large to be a key"),
        ("/dev/null", "the API key is empty"),
        ("orders.csv/key", "--api-key-file orders.csv/key: Not a directory"),
    ],
)
async def test_a_path_that_is_no_file_of_a_key_is_not_made_up_for_by_another_key(
    at_desk: Desk, ca: CountingServer, path: str, said: str
) -> None:
    put_credential(at_desk, IN_CREDENTIAL)
    at_desk.environment["DIGICERT_API_KEY"] = IN_VARIABLE
    refused = await at_desk.run("send", "orders.csv", "--api-key-file", path)
    assert_refused(refused, ca, said)


# --- it comes out nowhere -------------------------------------------------------------------------


def error(message: str, code: str = "bad") -> bytes:
    """Return an error body of the CA's."""
    return f'{{"errors":[{{"code":"{code}","message":"{message}"}}]}}'.encode()


PAGE = "".join(f"&#{ord(letter)};" for letter in KEY).encode()
IN_JSON = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
ECHOES: Sequence[Fate] = (
    Call.accept,
    says(400, error(f"the key {KEY} may not")),
    says(400, error("no", code=KEY)),
    says(400, error(f"in escapes: {IN_JSON}")),
    says(400, error("x" * 490 + KEY)),
    says(400, b" " * (16 * 1024 - 20) + KEY.encode()),
    says(403, b"%s alone" % KEY.encode()),
    says(500, b"<title>X-DC-DEVKEY: %s</title>" % PAGE),
    mails_and_says(b"X-DC-DEVKEY: %s\r\n\r\n" % KEY.encode()),
    mails_and_says(b"HTTP/1.1 204 N\r\nX: %s\x00\r\n\r\n" % KEY.encode()),
    mails_and_says(b"HTTP/1.1 %s\r\n\r\n" % KEY.encode()),
)
STOPPING: Sequence[Fate] = (
    says(302, b"", f"Location: https://elsewhere.example/?key={KEY}"),
    says(401, error(f"{KEY} is not a key", code="invalid_api_key")),
    says(404, error(f"no route for {KEY}", code="not_found|route")),
    says(200, b"<html><title>Welcome, %s</title></html>" % PAGE),
    says(429, error(f"too many with {KEY}"), "Retry-After: 9"),
)
FORMATS = (("-v",), ("-v", "--log-format", "json"))


class Session:
    """Commands one after another at one desk; what all of them have printed is kept."""

    def __init__(self, desk: Desk, ca: CountingServer) -> None:
        self.desk = desk
        self.ca = ca
        self.printed: list[str] = []
        self.runs = 0

    def _list(self, orders: int) -> list[str]:
        """Write a list of orders that no other run has had."""
        self.runs += 1
        numbers = [str(1_000_000 + 1000 * self.runs + index) for index in range(orders)]
        self.desk.write(f"{self.runs}.csv", "\n".join(["order_id", *numbers, ""]))
        return numbers

    async def send(self, fates: Sequence[Fate], *flags: str) -> Ended:
        """Send a list of which every order meets its fate."""
        numbers = self._list(len(fates))
        by_order: dict[str, Sequence[Fate]] = {
            number: [fate] for number, fate in zip(numbers, fates, strict=True)
        }
        self.ca.fate = in_turn_per_order(by_order)
        words = ("send", f"{self.runs}.csv", "--max-attempts", "1", "--in-doubt", "hold", *flags)
        return self._keep(await self.desk.run(*words))

    async def cut_off(self, by: signal.Signals, *flags: str) -> Ended:
        """Send a list, and signal the command while a request is in flight."""
        self._list(3)
        self.ca.fate = mails_and_hangs
        words = ("send", f"{self.runs}.csv", "--timeout", "1s", *flags)
        before = self.ca.mails_of.total()
        process = await self.desk.start(*words)
        await until(lambda: self.ca.mails_of.total() > before)
        command_line = Path(f"/proc/{process.pid}/cmdline")
        if command_line.exists():  # not on every system
            self.printed.append(command_line.read_text())
        process.send_signal(by)
        return self._keep(await ended(process))

    async def run(self, *words: str) -> Ended:
        """Run any other command."""
        return self._keep(await self.desk.run(*words))

    def _keep(self, command: Ended) -> Ended:
        self.printed += [command.out, command.err]
        return command

    def assert_told_nowhere(self, *secrets: str) -> None:
        """Check that nothing of the key was printed, or is in any file."""
        files = {path: path.read_bytes() for path in self.desk.folder.rglob("*") if path.is_file()}
        assert {"journal.db", "journal.db-wal", "summary.json", "results.csv", "results.jsonl",
                "unsent.csv", "refused.csv"} <= {path.name for path in files}  # fmt: skip
        for secret in secrets:
            assert [text for text in self.printed if secret in text] == []
            assert [path for path, content in files.items() if secret.encode() in content] == []


async def test_the_key_stands_in_nothing_that_any_command_prints_or_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("an error of a test's own")

    async with CountingServer(Call.accept) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.environment |= {"BATCH_RESEND_PATIENCE": "1s", "BATCH_RESEND_LIMIT": "none"}
        session = Session(desk, ca)
        for flags in FORMATS:
            assert (await session.send(ECHOES, *flags)).code == 3
        for number, fate in enumerate(STOPPING):
            assert (await session.send([fate], *FORMATS[number % 2])).code == 4
        with monkeypatch.context() as patch:  # an error of ours in a frame that holds the key
            patch.setattr(import_module("batch_resend.certcentral.judge"), "_errors", fails)
            for flags in FORMATS:
                broken = await session.send([says(400)], *flags)
                assert "an error of a test's own" in broken.err
                assert "Traceback" in broken.err
                assert broken.code == 4
        assert (await session.cut_off(signal.SIGINT, *FORMATS[0])).code == 130
        assert (await session.cut_off(signal.SIGKILL, *FORMATS[1])).code == -signal.SIGKILL
        session.assert_told_nowhere(KEY, KEY[:12])
    # What is asked of the journal afterwards needs neither a CA nor the key.
    del desk.environment["DIGICERT_API_KEY"]
    await look_back(session)
    assert all(KEY.encode() in head for head in ca.heads)  # it did leave, with every request


async def look_back(session: Session) -> None:
    for words in (
        ("check", "1.csv"),
        ("check", "1.csv", "--json"),
        ("runs",),
        ("runs", "--json"),
        ("history", "100200300"),
    ):
        assert (await session.run(*words)).code == 0
    runs = [run["run"] for run in json.loads(session.printed[-4])]
    assert len(runs) == session.runs
    for run in runs:
        assert (await session.run("show", run)).code == 0
    assert (await session.run("show", runs[0], "--json")).code == 0
    assert (await session.run("report", runs[0], "--report-dir", "again")).code == 0
    session.assert_told_nowhere(KEY, KEY[:12])


async def test_a_core_dump_of_a_run_that_crashes_is_not_made(tmp_path: Path) -> None:
    """A dump would hold the key. What dumps here at all is seen by a process without one."""
    (tmp_path / "other").mkdir()
    crash = "ulimit -c unlimited && cd other && sh -c 'kill -ABRT $$'"
    subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        ["sh", "-c", crash], cwd=tmp_path, check=False, stderr=subprocess.DEVNULL
    )
    if not list((tmp_path / "other").iterdir()):
        pytest.skip("core dumps go elsewhere on this machine, or are not made")
    async with CountingServer(mails_and_hangs) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.write_list(3)
        line = f"ulimit -c unlimited && exec {shlex.join(desk.command('send', 'orders.csv'))}"
        process = await desk.start(program=["sh", "-c", line])
        await until(lambda: ca.requests)
        process.send_signal(signal.SIGABRT)
        assert (await ended(process)).code == -signal.SIGABRT
    assert not list(tmp_path.glob("*core*"))
