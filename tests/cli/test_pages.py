"""A page in the place of the CA's answer, in whichever form: it acknowledges nothing."""

from pathlib import Path

import pytest

from tests.cli.conftest import Desk, assert_adds_up
from tests.cli.counting_server import Call, CountingServer

pytestmark = pytest.mark.asyncio

PAGE = "<!DOCTYPE html><title>Log in</title>"
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset={}\r\nContent-Length: {}\r\n\r\n"


def page(body: bytes, charset: str = "utf-8", length: int = 0) -> bytes:
    """Return an answer with a page; or its beginning, where a `length` beyond it is given."""
    return HEAD.format(charset, length or len(body)).encode() + body


PAGES = {
    "as it stands": page(PAGE.encode()),
    "behind a byte order mark": page(PAGE.encode("utf-8-sig")),
    "in UTF-16": page(PAGE.encode("utf-16"), "utf-16"),
    "behind a NUL byte": page(b"\0" + PAGE.encode()),
    "in words without a tag": page(b"Please log in"),
    "broken off before its first byte": page(b"", length=500),
}


@pytest.mark.parametrize("said", PAGES.values(), ids=PAGES)
async def test_a_page_acknowledges_nothing_however_it_is_encoded_and_wherever_it_breaks_off(
    tmp_path: Path, said: bytes
) -> None:
    async def fate(call: Call) -> None:
        await call.visit.read_all()
        await call.say(said)
        call.visit.close()

    async with CountingServer(fate) as ca:
        desk = Desk(tmp_path, ca.base_url)
        desk.write("orders.csv", "order_id\n100200301\n100200302\n100200303\n")
        ended = await desk.run("send", "orders.csv", "--limit", "none", "--in-doubt", "hold")
    assert ca.mails_of.total() == 0
    assert_adds_up(desk.summary())
    assert desk.summary()["orders"]["sent"] == 0
    assert ended.code in (3, 4)
