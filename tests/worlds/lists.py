"""What a program of a world is given: its settings, and its lists, as written or damaged."""

import csv
import io
import random
from collections.abc import Iterable

from batch_resend.folders import Place
from batch_resend.intake import Reading
from batch_resend.settings import Settings, make_account, make_settings
from tests.intake.test_damage import TEXT_DAMAGES
from tests.worlds.ca import FIRST_ORDER, Asked, account_of, key_of, key_of_account
from tests.worlds.spec import World

Row = tuple[str, str, str]  # order, domain, address
_COLUMNS = ("order_id", "domain", "email")


def row_of(number: int, prefix: str = "") -> Row:
    """Return a row of the order of that number, counted from 0."""
    domain = f"{prefix}d{number}.example.com"
    return str(FIRST_ORDER + number), domain, f"admin@{domain}"


def first_list(world: World, dice: random.Random) -> list[Row]:
    """Return the list that a world begins with."""
    rows = [row_of(number) for number in range(world.orders)]
    for extra in range(world.rows - world.orders):
        number = dice.randrange(world.orders)
        rows.append(row_of(number, f"s{extra % 2}."))  # another domain of the order, or twice
    return rows


def written(world: World, rows: Iterable[Row]) -> str:
    """Return a list as CSV, with the account of each row where a world has some."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow((*_COLUMNS, "account")[: 3 + bool(world.accounts)])
    for row in rows:
        account = (account_of(world, row[0]) or "",) if world.accounts else ()
        table.writerow((*row, *account))
    return file.getvalue()


def damaged(text: str, dice: random.Random) -> str:
    """Return a list with something lost from it, or come into it."""
    kind = dice.choice(_DAMAGES)
    at = dice.randrange(len(text) + 1)
    if kind == _BLANKED:
        heading, *lines = text.splitlines(keepends=True)
        place = dice.randrange(len(lines))
        order, _, _, *rest = lines[place].rstrip("\n").split(",")
        lines[place] = ",".join((order, "", "", *rest)) + "\n"
        return "".join((heading, *lines))
    return TEXT_DAMAGES[kind](text, at)


_BLANKED = "the addresses of a row blanked"
_DAMAGES = (*sorted(TEXT_DAMAGES), *[_BLANKED] * 3)


def rows_in(text: str) -> list[Row] | None:
    """Return what stands in a list of ours; None: nothing."""
    found = list(csv.DictReader(io.StringIO(text)))
    return [_row_in(one) for one in found] or None


def _row_in(record: dict[str, str]) -> Row:
    """Return a row; one of an order alone has neither domain nor address."""
    order_id, domain, email = (record.get(name, "") for name in _COLUMNS)
    return order_id, domain, email


def requests_of(world: World, rows: Iterable[Row]) -> set[Asked]:
    """Return what rows ask for."""
    entries: dict[str, set[tuple[str, str]]] = {}
    for order_id, domain, email in rows:
        of_order = entries.setdefault(order_id, set())
        if domain:
            of_order.add((domain, email))
    return {
        (key_of(world, order_id), order_id, tuple(sorted(found)))
        for order_id, found in entries.items()
    }


def orders_alone(world: World, orders: Iterable[str]) -> set[Asked]:
    """Return what orders ask for that stand by themselves: whom to mail is the CA's to know."""
    return {(key_of(world, order), order, ()) for order in orders}


def reading_of(world: World) -> Reading:
    """Return how lists of a world are read."""
    names = (f"account{number}" for number in range(1, world.accounts + 1))
    return Reading(accounts=dict.fromkeys(names))


def settings_of(world: World, journal: Place) -> Settings:
    """Return what a program of a world is set to."""
    windows = () if world.windows == ("none",) else world.windows
    return make_settings(
        api_key=key_of_account(None),
        windows=windows,
        accounts={
            name: make_account(api_key=key_of_account(name), windows=windows)
            for name in reading_of(world).accounts
        },
        journal=journal,
        timeout_s=world.timeout_s,
        concurrency=world.concurrency,
        in_doubt="hold" if world.hold else "retry",
        max_attempts=world.max_attempts,
        patience_s=world.patience_s,
    )
