"""A desk with two profiles, and a CA for the account of each."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from batch_resend.simulator import Simulator, SimulatorSettings
from batch_resend.windows import Window
from tests.cli.conftest import Desk

SHOP_KEY, BANK_KEY = "shop-key-0123456789", "bank-key-0123456789"


@dataclass(frozen=True, slots=True)
class Town:
    """A desk with two profiles, and the CAs of their accounts."""

    desk: Desk
    shop: Simulator
    bank: Simulator


@asynccontextmanager
async def town(
    folder: Path,
    shop_windows: tuple[Window, ...] = (),
    bank_windows: tuple[Window, ...] = (),
    bank_key: str = BANK_KEY,
) -> AsyncIterator[Town]:
    """Open two accounts, at two CAs that count each by itself."""
    async with AsyncExitStack() as stack:
        shop, bank = [
            await stack.enter_async_context(
                Simulator(SimulatorSettings(api_key=key, windows=windows, keep_bodies=True))
            )
            for key, windows in ((SHOP_KEY, shop_windows), (BANK_KEY, bank_windows))
        ]
        desk = Desk(folder, shop.base_url)
        del desk.environment["BATCH_RESEND_BASE_URL"]
        del desk.environment["DIGICERT_API_KEY"]
        desk.write("shop.key", SHOP_KEY)
        desk.write("bank.key", bank_key)
        text = ""
        for name, ca, windows in (("shop", shop, shop_windows), ("bank", bank, bank_windows)):
            limits = [str(window) for window in windows] or ["none"]
            text += (
                f'[profiles.{name}]\napi-key-file = "{name}.key"\nbase-url = "{ca.base_url}"\n'
                f"limit = {json.dumps(limits)}\n"
            )
        text += 'locale = "de"\n'
        desk.write("config.toml", text)
        desk.environment["BATCH_RESEND_CONFIG"] = "config.toml"
        yield Town(desk, shop, bank)
