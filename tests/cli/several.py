"""A desk with any number of profiles, and a CA for the account of each."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from batch_resend.simulator import Simulator, SimulatorSettings
from tests.cli.conftest import Desk

FIRST_NUMBER = 100_200_301


@dataclass(frozen=True, slots=True)
class Several:
    """A desk, and the CA of each account."""

    desk: Desk
    cas: Mapping[str, Simulator]

    def write_list(self, accounts: Iterable[str], name: str = "orders.csv") -> dict[int, str]:
        """Write a list with an order for each name; return the accounts by order."""
        orders = {FIRST_NUMBER + place: of for place, of in enumerate(accounts)}
        rows = (f"{n},{of},o{n}.example,admin@o{n}.example\n" for n, of in orders.items())
        self.desk.write(name, f"order_id,account,domain,email\n{''.join(rows)}")
        return orders

    @property
    def mails(self) -> dict[str, list[int]]:
        """The orders that each CA has mailed."""
        return {of: sorted(map(int, ca.books.mails_per_order)) for of, ca in self.cas.items()}


@asynccontextmanager
async def several_accounts(
    folder: Path, *names: str, limits: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Several]:
    """Open accounts, each at a CA of its own that takes its key only."""
    async with AsyncExitStack() as stack:
        desk, cas, toml = Desk(folder, ""), dict[str, Simulator](), ""
        del desk.environment["BATCH_RESEND_BASE_URL"]
        del desk.environment["DIGICERT_API_KEY"]
        for name in names:
            key = f"{name}-key-0123456789"
            settings = SimulatorSettings(api_key=key)
            cas[name] = await stack.enter_async_context(Simulator(settings))
            desk.write(f"{name}.key", key)
            place = f'api-key-file = "{name}.key"\nbase-url = "{cas[name].base_url}"\n'
            toml += f'[profiles.{name}]\n{place}limit = "{limits.get(name, "none")}"\n'
        desk.write("config.toml", toml)
        desk.environment["BATCH_RESEND_CONFIG"] = "config.toml"
        yield Several(desk, cas)
