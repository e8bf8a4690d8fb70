"""The API key: where it is taken from, and what is none."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cli.conftest import KEY, Desk, Ended, ended
from tests.cli.counting_server import Call, CountingServer
from tests.cli.forked import nothing

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
    desk.write("orders.csv", "order_id\n1\n")
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
    ("there", "taken"),
    [
        ("file variable credential", IN_FILE),
        ("file credential", IN_FILE),
        ("variable credential", IN_VARIABLE),
        ("variable", IN_VARIABLE),
        ("credential", IN_CREDENTIAL),
    ],
)
async def test_the_file_goes_before_the_variable_and_that_before_the_credential(
    at_desk: Desk, ca: CountingServer, there: str, taken: str
) -> None:
    at_desk.write("key.txt", IN_FILE + "\n").chmod(0o600)
    if "variable" in there:
        at_desk.environment["DIGICERT_API_KEY"] = IN_VARIABLE
    if "credential" in there:
        put_credential(at_desk, IN_CREDENTIAL + "\n")
    flags = ["--api-key-file", "key.txt"] if "file" in there else []
    sent = await at_desk.run("send", "orders.csv", *flags)
    assert sent.code == 0, sent.err
    assert keys_of(ca) == {taken}
    assert "can be read by others" not in sent.err


async def test_the_file_may_be_named_by_a_variable_or_be_a_pipe(
    at_desk: Desk, ca: CountingServer
) -> None:
    at_desk.write("key.txt", f"\ufeff{IN_FILE}\r\n").chmod(0o600)  # as editors of Windows do
    named = await at_desk.run("send", "orders.csv", BATCH_RESEND_API_KEY_FILE="key.txt")
    flags = ("--api-key-file", "/dev/stdin", "--again", "--report-dir", "piped")
    piped = await at_desk.run("send", "orders.csv", *flags, stdin=b"piped-0123\n")
    assert (named.code, piped.code) == (0, 0), named.err + piped.err
    assert keys_of(ca) == {IN_FILE, "piped-0123"}


async def test_a_file_that_is_named_and_not_there_is_not_made_up_for_by_another_key(
    at_desk: Desk, ca: CountingServer
) -> None:
    put_credential(at_desk, IN_CREDENTIAL)
    at_desk.environment["DIGICERT_API_KEY"] = IN_VARIABLE
    refused = await at_desk.run("send", "orders.csv", "--api-key-file", "gone.txt")
    assert_refused(refused, ca, "--api-key-file gone.txt: No such file or directory")


@pytest.mark.parametrize("folder", ["", "gone", "credentials"])
async def test_where_systemd_gives_no_such_credential_there_is_no_key(
    at_desk: Desk, ca: CountingServer, folder: str
) -> None:
    (at_desk.folder / "credentials").mkdir()
    at_desk.environment["CREDENTIALS_DIRECTORY"] = folder and str(at_desk.folder / folder)
    assert_refused(await at_desk.run("send", "orders.csv"), ca, "no API key: put it into a file")


def let_files_be_another_users() -> None:
    """Run as a user who owns none of them."""
    owner = os.geteuid()
    os.geteuid = lambda: owner + 1


@pytest.mark.parametrize(
    ("mode", "ours", "remedy"),
    [
        (0o644, True, "chmod 600 key.txt"),
        (0o640, True, "chmod 600 key.txt"),
        (0o604, True, "chmod 600 key.txt"),
        (0o600, True, None),
        (0o400, True, None),
        (0o440, False, None),  # as a container's secret is, and what systemd hands to a user
        (0o444, False, "chmod o= key.txt"),
    ],
)
async def test_a_key_file_that_others_can_read_is_warned_of_with_what_locks_nobody_out(
    at_desk: Desk, ca: CountingServer, mode: int, ours: bool, remedy: str | None
) -> None:
    at_desk.write("key.txt", IN_FILE).chmod(mode)
    meddling = nothing if ours else let_files_be_another_users
    sent = await ended(
        await at_desk.start_after(meddling, "send", "orders.csv", "--api-key-file", "key.txt")
    )
    assert sent.code == 0, sent.err
    said = f"key.txt can be read by others than its owner: {remedy}"
    assert said in sent.err if remedy else "can be read by others" not in sent.err
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
    "a line break inside": (f"{KEY}\n{KEY}\n".encode(), "holds blanks, line breaks"),
    "another header inside": (f"{KEY}\r\nX-Other: 1".encode(), "holds blanks, line breaks"),
    "a blank inside": (f"{KEY} {KEY}".encode(), "holds blanks, line breaks"),
    "a name before it": (f"DIGICERT_API_KEY = {KEY}".encode(), "holds blanks, line breaks"),
    "blanks": (b" \t\r\n\n", "the API key is empty"),
    "nothing": (b"", "the API key is empty"),
    "two bytes a character": (KEY.encode("utf-16"), "is not a text file"),
    "an escape code": (f"{KEY}\x1b[2J".encode(), "other characters no key has"),
    "binary": (bytes(range(256)) + KEY.encode(), "is not a text file"),
    "a list by mistake": (b"1\n" * 40_000 + KEY.encode(), "is too large to be a key"),
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
        (".", "--api-key-file .: Is a directory"),
        ("/dev/zero", "--api-key-file /dev/zero: is too large to be a key"),
        ("/dev/null", "the API key is empty"),
        ("orders.csv/key", "--api-key-file orders.csv/key: Not a directory"),
    ],
)
async def test_a_path_that_is_no_file_of_a_key_ends_in_one_line(
    at_desk: Desk, ca: CountingServer, path: str, said: str
) -> None:
    refused = await at_desk.run("send", "orders.csv", "--api-key-file", path)
    assert_refused(refused, ca, said)
