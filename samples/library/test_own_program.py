"""How a program that uses the library is tested with pytest: a simulator answers in the CA's place.

pytest test_own_program.py
"""

from pathlib import Path

import pytest
from pydantic import SecretStr

from batch_resend import Settings, resend
from batch_resend.simulator import Simulator, SimulatorSettings

ROWS = [
    {"order_id": 1001, "domain": "a.example", "email": "admin@a.example"},
    {"order_id": 1002, "domain": "b.example", "email": "admin@b.example"},
]


@pytest.mark.asyncio
async def test_orders_are_mailed_once_and_not_again(tmp_path: Path) -> None:
    """The CA takes one of two orders, and does not know the other."""
    async with Simulator(SimulatorSettings(unknown_orders=frozenset({"1002"}))) as ca:
        settings = Settings(
            api_key=SecretStr("a-key"), base_url=ca.base_url, journal=tmp_path / "journal.db"
        )
        first = await resend(ROWS, settings)
        second = await resend(ROWS, settings)
        assert (first.orders.sent, first.orders.refused) == (1, 1)
        assert second.orders.skipped == 1
        assert ca.books.mails_per_order == {"1001": 1}
