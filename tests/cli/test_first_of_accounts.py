"""A list of several accounts: its first part (`--max-orders`) tries the key and URL of each."""

from itertools import chain
from pathlib import Path

import pytest

from batch_resend.simulator import WorldOrder
from tests.cli.conftest import run_ids
from tests.cli.screen import on_screen
from tests.cli.several import FIRST_NUMBER, Several, several_accounts

TEN_OF_EACH = "bca" * 10


@pytest.mark.parametrize(
    ("listed", "most", "counts"),
    [
        pytest.param(TEN_OF_EACH, 6, {"a": 2, "b": 2, "c": 2}, id="as many of each"),
        pytest.param(TEN_OF_EACH, 4, {"a": 1, "b": 2, "c": 1}, id="one more of the first"),
        pytest.param(TEN_OF_EACH, 2, {"a": 0, "b": 1, "c": 1}, id="fewer than accounts"),
        pytest.param(TEN_OF_EACH, 29, {"a": 9, "b": 10, "c": 10}, id="all but one"),
        pytest.param("b" * 10 + "a" * 10 + "c" * 10, 6, {"a": 2, "b": 2, "c": 2}, id="in blocks"),
        pytest.param("a" + "bc" * 9, 7, {"a": 1, "b": 3, "c": 3}, id="one has but one"),
        pytest.param("b" * 20 + "ac", 9, {"a": 1, "b": 7, "c": 1}, id="two have but one"),
    ],
)
async def test_the_first_orders_are_of_all_accounts_by_turns_each_in_the_order_of_the_list(
    tmp_path: Path, listed: str, most: int, counts: dict[str, int]
) -> None:
    async with several_accounts(tmp_path, "a", "b", "c") as at:
        orders = at.write_list(listed)
        first = await at.desk.run("send", "orders.csv", "--max-orders", str(most))
        assert first.code == 4, first.err
        of_each = {name: [n for n, of in orders.items() if of == name] for name in "abc"}
        assert at.mails == {name: numbers[: counts[name]] for name, numbers in of_each.items()}
        rest = await at.desk.run("resume", "--report-dir", "rest")
        assert rest.code == 0, rest.err
        assert at.mails == of_each


async def test_each_account_of_one_key_is_tried(tmp_path: Path) -> None:
    async with several_accounts(tmp_path, "a", "b") as at:
        place = f'api-key-file = "a.key"\nbase-url = "{at.cas["a"].base_url}"\n'
        toml = (tmp_path / "config.toml").read_text()
        at.desk.write("config.toml", f"{toml}[profiles.c]\n{place}")
        at.write_list("aaabbbccc")
        assert (await at.desk.run("send", "orders.csv", "--max-orders", "4")).code == 4
        first, mails = FIRST_NUMBER, at.mails
        assert mails == {"a": [first, first + 1, first + 6], "b": [first + 3]}


async def test_an_account_that_does_not_answer_keeps_no_other_from_being_tried(
    tmp_path: Path,
) -> None:
    async with several_accounts(tmp_path, "a", "b", "c") as at:
        at.write_list(TEN_OF_EACH)
        at.cas["a"].fail({"503": 1.0})  # type: ignore[dict-item] # by its value
        words = ("send", "orders.csv", "--max-orders", "6", "--patience", "1s")
        assert (await at.desk.run(*words)).code == 4
        assert {name: len(mails) for name, mails in at.mails.items()} == {"a": 0, "b": 2, "c": 2}


async def with_the_first_three(at: Several, asks: str, asks_again: str) -> str:
    """Send three orders on a terminal, and not the rest; return what was shown."""
    words = ("send", "orders.csv", "--max-orders", "3")
    async with on_screen(at.desk, *words, environment={"TERM": "dumb"}, columns=200) as screen:
        await screen.shows(lambda s: asks in s.text)
        screen.type(b"y\n")
        await screen.shows(lambda s: asks_again in s.text)
        screen.type(b"n\n")
        assert await screen.ended() == 4
    return screen.text


@pytest.mark.parametrize(
    ("names", "none", "at_urls"),
    [
        pytest.param("bca", "", 3, id="all are tried"),
        pytest.param("bcade", ", none of them of accounts d and e", 3, id="two are not"),
        pytest.param("bcad", ", none of them of account d", 3, id="one is not"),
    ],
)
async def test_plan_and_questions_say_which_accounts_are_not_tried(
    tmp_path: Path, names: str, none: str, at_urls: int
) -> None:
    async with several_accounts(tmp_path, *names) as at:
        numbers = at.write_list(names * 4)
        shown = await with_the_first_three(at, " now? [y/N]", "Send the other")
        by_turns = none or ", of each account by turns"
        assert f"  the first 3 (--max-orders){by_turns}; then you are asked" in shown
        asked = f"Send the first 3 of {len(numbers)} requests{none}{',' if none else ''} to 127."
        assert asked in shown
        then = f"None of these was{none.removeprefix(', none of them')}.\n"
        assert (then in shown) is bool(none)
        first = shown.partition("Sent first, and to whom\n")[2].splitlines()[:3]
        assert first == [
            f"  {n} (account {of}): admin@o{n}.example" for n, of in list(numbers.items())[:3]
        ]
        assert sum(ca.books.mails for ca in at.cas.values()) == at_urls


async def test_of_one_account_nothing_is_said_of_accounts(tmp_path: Path) -> None:
    async with several_accounts(tmp_path, "a", "b") as at:
        at.write_list("aaaa")
        first = "Send the first 3 of 4 requests to 127.0.0.1"
        shown = await with_the_first_three(at, first, "Send the other 1 request now?")
        assert f"\n  {FIRST_NUMBER}: admin@o{FIRST_NUMBER}.example\n" in shown
        assert "the first 3 (--max-orders); then" in shown


# --- with --preflight ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "issued", "most"),
    [
        pytest.param(TEN_OF_EACH, [], 6, id="all wait"),
        pytest.param(TEN_OF_EACH, range(0, 30, 3), 6, id="none of the first account waits"),
        pytest.param(TEN_OF_EACH, range(9), 4, id="the first three of each do not"),
        pytest.param("b" * 9 + "a" * 4 + "c" * 9, range(1, 12), 7, id="of two but one each waits"),
        pytest.param("ba" * 6, [0], 1, id="the very first does not"),
        pytest.param(TEN_OF_EACH, range(2, 30), 5, id="two in all"),
    ],
)
async def test_what_is_sent_first_was_asked_about_and_no_more_than_that_takes(
    tmp_path: Path, listed: str, issued: range, most: int
) -> None:
    async with several_accounts(tmp_path, "a", "b", "c") as at:
        orders = at.write_list(listed)
        states = {n: "issued" if n - FIRST_NUMBER in issued else "pending" for n in orders}
        for number, of in orders.items():
            at.cas[of].world.add(WorldOrder(number, status=states[number]))
        words = ("--preflight", "--max-orders", str(most))
        first = await at.desk.run("send", "orders.csv", *words)
        waiting = [n for n, state in states.items() if state == "pending"]
        mailed = [*chain.from_iterable(at.mails.values())]
        assert len(mailed) == min(most, len(waiting)), first.err
        assert {states[n] for n in mailed} == {"pending"}
        for name, mails in at.mails.items():
            of_it = [n for n, of in orders.items() if of == name]
            assert mails == [n for n in of_it if n in waiting][: len(mails)], "in their order"
        counts = {name: len(mails) for name, mails in at.mails.items() if name in listed}
        left = {name: sum(orders[n] == name for n in waiting) for name in counts}
        fewest = min((counts[name] for name in counts if counts[name] < left[name]), default=most)
        assert max(counts.values()) <= fewest + 1, "by turns"
        asked = sum(ca.books.reads for ca in at.cas.values())
        most_asked = len(mailed) + len(issued)
        assert asked <= 2 * most_asked, "names, and products"
        run, *_ = await run_ids(at.desk)
        rest = await at.desk.run("resume", run, "--preflight", "--report-dir", "rest")
        assert sorted([*chain.from_iterable(at.mails.values())]) == waiting, rest.err
