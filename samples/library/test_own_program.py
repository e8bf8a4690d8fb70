"""How a program that uses the library is tested, with pytest and aioresponses: no CA is asked.

pytest test_own_program.py
"""

# pyright: reportUnknownMemberType=false
# aioresponses does not say what its patterns are of.

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from pydantic import SecretStr
from yarl import URL

from batch_resend import Settings, resend

BASE_URL = "https://ca.example/services/v2"
ORDER_URL = f"{BASE_URL}/order/certificate/1001/resend-emails"
ROWS = [{"order_id": 1001, "domain": "a.example", "email": "admin@a.example"}]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Answers in the CA's place."""
    # aiohttp 3.14 wants a writer, which aioresponses 0.7.9 does not give it.
    with_writer = partial(aiohttp.ClientResponse, stream_writer=Mock(output_size=0))
    monkeypatch.setattr("aioresponses.core.ClientResponse", with_writer)
    with aioresponses() as mocked:
        yield mocked


@pytest.mark.asyncio
async def test_an_order_is_mailed_once_and_not_again(answers: aioresponses, tmp_path: Path) -> None:
    """The CA is down for a moment, and then takes the order."""
    answers.put(ORDER_URL, status=503)
    answers.put(ORDER_URL, status=204)
    settings = Settings(
        api_key=SecretStr("a-key"), base_url=BASE_URL, journal=tmp_path / "journal.db"
    )
    first = await resend(ROWS, settings)
    second = await resend(ROWS, settings)
    assert (first.orders.sent, second.orders.skipped) == (1, 1)
    assert len(answers.requests["PUT", URL(ORDER_URL)]) == 2
