"""`export` and `--preflight`: what the CA is asked about orders before they are mailed."""

import csv
import json
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from batch_resend.simulator import Simulator, WorldOrder
from batch_resend.windows import Window
from tests.cli.conftest import Desk, Ended, desk_with_ca, ended, read_summary, results, until
from tests.cli.raw_service import desk_at, error, lists, pending, validation, with_answer
from tests.cli.screen import on_screen
from tests.cli.town import town

DAY_S = 86_400.0
FIRST = 100_200_300


def fill(ca: Simulator, count: int, **how: Any) -> None:
    """Let so many orders wait, each a day older than the one before it."""
    for number in range(1, count + 1):
        created_at = time.time() - number * DAY_S - 60
        ca.world.add(WorldOrder(FIRST + number, created_at=created_at, **how))


def records(exported: Ended) -> list[dict[str, str]]:
    assert exported.code == 0, exported.err
    return list(csv.DictReader(StringIO(exported.out)))


async def test_orders_that_wait_are_written_with_what_the_ca_tells(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(ca, 1, domains=("shop.example.com", "www.example.com"), container="Web")
        ca.world.add(WorldOrder(FIRST + 2, status="reissue_pending", created_at=time.time() - 60))
        ca.world.add(WorldOrder(FIRST + 3, status="issued"))
        first, second = records(await desk.run("export"))
        told = (await desk.run("export")).err
    assert first == {
        "order_id": "100200301",
        "status": "pending",
        "product": "ssl_dv_geotrust_flex",
        "dcv_method": "",
        "created_at": first["created_at"],
        "age_days": "1",
        "container": "Web",
        "domains": "shop.example.com; www.example.com",
        "domain_id": "",
    }
    assert (second["order_id"], second["status"]) == ("100200302", "reissue_pending")
    assert told == "2 orders wait.\n"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_send_reads_the_export_and_has_every_order_mailed(tmp_path: Path, form: str) -> None:
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        fill(ca, 5)
        ca.world.add(WorldOrder(FIRST + 6, dcv_method="dns-txt-token"))
        export = ("export", "--details", "--format", form)
        await desk.run(*export, "--out", "pending.list")
        sent = await desk.run("send", "pending.list")
        assert sent.code == 0, sent.err
        assert ca.books.mails_per_order == {str(FIRST + n): 1 for n in range(1, 6)}
        assert all(bodies == [{}] for bodies in ca.books.bodies.values()), "all that wait"
        assert desk.summary()["orders"]["skipped"] == 1, "it is not validated by e-mail"
        exported = await desk.run(*export)
        piped = await desk.run("send", "-", stdin=exported.out.encode())
        assert piped.code == 0
        assert ca.books.mails == 5, "acknowledged within the cooldown"


async def test_options_choose_by_product_age_container_and_filters(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(ca, 4)
        ca.world.add(WorldOrder(7, product="ssl_dv_rapidssl", container="Shop", created_at=0.0))

        async def chosen(*options: str) -> list[str]:
            return [r["order_id"] for r in records(await desk.run("export", *options))]

        assert await chosen("--older-than", "3d") == ["7", "100200303", "100200304"]
        assert await chosen("--product", "ssl_dv_rapidssl") == ["7"]
        assert await chosen("--container", "shop") == ["7"]
        assert await chosen("--filter", "product_name_id=ssl_dv_rapidssl") == ["7"]
        refused = await desk.run("export", "--filter", "no_such=1")
        assert refused.code == 1
        assert "the CA refuses /order/certificate: HTTP 400, bad_request_format" in refused.err
        assert (await desk.run("export", "--filter", "nothing")).code == 2


@pytest.mark.parametrize("words", [("sweep", "--yes"), ("export",)])
async def test_a_key_that_may_not_read_is_said_to_lack_a_role(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path, faults={"403": 1.0}) as (desk, _):
        refused = await desk.run(*words)
        assert refused.code == 1
        said = " ".join(refused.err.split())
        assert "refuses /order/certificate: HTTP 403, access_denied|missing_permission" in said
        assert (
            "Look at the key's roles (in CertCentral, or by GET /user/me). Give it a role" in said
        )


async def test_a_list_that_is_there_is_replaced_only_by_an_explicit_word(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(ca, 2)
        edited = "order_id,email\n100200301,it@example.com\n"
        desk.write("pending.csv", edited)
        refused = await desk.run("export", "--out", "pending.csv")
        assert refused.code == 2
        assert "--out pending.csv is there already, and you may have edited it" in " ".join(
            refused.err.split()
        )
        assert (tmp_path / "pending.csv").read_text() == edited
        assert ca.books.reads == 0
        assert (await desk.run("export", "--out", "pending.csv", "--overwrite")).code == 0
        assert "it@example.com" not in (tmp_path / "pending.csv").read_text()
        desk.write("empty.csv", "")
        assert (await desk.run("export", "--out", "empty.csv")).code == 0, "as of mktemp"


async def test_pages_are_read_to_the_end_and_count_in_the_windows(tmp_path: Path) -> None:
    windows = (Window(4, 2.0),)
    async with desk_with_ca(tmp_path, windows=windows) as (desk, ca):
        fill(ca, 2_500)
        exported = await desk.run("export", "--out", "pending.csv")
        assert exported.code == 0, exported.err
        assert ca.books.reads == 4, "three pages of those pending, and one of reissue_pending"
        with (tmp_path / "pending.csv").open() as file:
            assert len({line["order_id"] for line in csv.DictReader(file)}) == 2_500
        desk.write("few.csv", "order_id\n100200301\n100200302\n")
        assert (await desk.run("send", "few.csv")).code == 0
        assert all(log.refused == 0 and log.peak <= 4 for log in ca.books.windows)


async def test_while_a_run_sends_the_journal_and_so_the_windows_are_its_own(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(40)
        sending = await desk.start("send", "orders.csv", "--limit", "10/1s")
        await until(lambda: ca.books.requests)
        assert (await desk.run("export")).code == 5
        assert (await ended(sending)).code == 0


def list_all(desk: Desk, ca: Simulator) -> None:
    """Let orders be in every state, and list them all, with one that the CA does not have."""
    ca.world.add(WorldOrder(100200301))
    ca.world.add(WorldOrder(100200302, status="issued"))
    ca.world.add(WorldOrder(100200303, dcv_method="dns-txt-token"))
    ca.world.add(WorldOrder(100200304, product="ssl_basic"))
    ca.world.add(WorldOrder(100200305, status="reissue_pending"))
    desk.write(
        "orders.csv", "order_id\n100200301\n100200302\n100200303\n100200304\n100200305\n100200306\n"
    )


async def test_what_waits_for_no_mail_is_skipped_with_the_cas_reason_and_the_rest_is_sent(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"100200306"})) as (desk, ca):
        list_all(desk, ca)
        sent = await desk.run("send", "orders.csv", "--preflight")
        assert sent.code == 3, "the sixth is refused"
        assert ca.books.mails_per_order == {"100200301": 1, "100200305": 1}
        assert ca.books.reads_of == {"validation": 6, "order": 4}, (
            "each, and where that leaves it open, its product"
        )
        told = {line["order_id"]: (line["status"], line["error_message"]) for line in
                results(desk.report())}  # fmt: skip
    assert told["100200302"] == ("skipped", "its status is issued, not pending")
    assert told["100200303"] == (
        "skipped",
        "its domains are validated by 'dns-txt-token', not by e-mail",
    )
    assert told["100200304"][0] == "skipped"
    assert "is not DV" in told["100200304"][1]
    assert told["100200306"] == ("refused", "The specified order was not found.")
    assert "First asking the CA about 6 requests, with one or two reads each\n" in sent.err
    assert "  skipped   1, says the CA: its status is issued, not pending\n" in sent.err
    assert "within the cooldown" not in sent.err


async def test_a_run_that_was_declined_asks_again_when_it_is_resumed(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        list_all(desk, ca)
        async with on_screen(desk, "send", "orders.csv", "--preflight") as screen:
            await screen.shows(lambda s: "Send 3 requests to 127.0.0.1 now?" in s.text)
            ca.world.orders[100200301].status = "issued"
            screen.type(b"n\n")
            assert await screen.ended() == 1
        sent = await desk.run("send", "orders.csv", "--preflight", "--report-dir", "later")
        assert sent.code == 3, "one is not DV"
        assert set(ca.books.mails_per_order) == {"100200305", "100200306"}
        assert read_summary(tmp_path / "later")["orders"]["skipped"] == 4


async def test_beyond_the_most_of_a_sweep_orders_are_counted_as_far_as_the_ca_was_asked(
    tmp_path: Path,
) -> None:
    why = "not by e-mail, or approved"
    cases = (
        (
            15,
            "3 due, 12 not asked about (--max-orders): left for the next sweep or with nothing to "
            "mail",
        ),
        (
            25,
            "20 due (3 in this sweep, 17 left for the next sweep: --max-orders), 5 with nothing "
            f"to mail ({why})",
        ),
    )
    few = ("sweep", "--max-orders", "3", "--again", "--metrics-file", "night.prom")
    async with desk_with_ca(tmp_path) as (desk, ca):
        for count, rest in cases:  # one by one, then by the order report
            fill(ca, count)
            for number in range(1, 6):
                ca.world.orders[FIRST + number].dcv_method = "dns-txt-token"
            swept = await desk.run(*few, "--report-dir", "nights/{run}")
            assert f"{count} orders wait: {rest}" in swept.out
            assert f"{count} orders wait: {rest}" in (await desk.run("show")).out
        assert ca.books.reads_of["validation"] == 3, "none for a count"
    index = (tmp_path / "nights" / "index.html").read_text()
    assert 'data-is="Waiting">15 (12 not asked about)<' in index
    assert 'data-is="Waiting">25 (5 with nothing to mail, 17 left for the next sweep)<' in index
    metrics = (tmp_path / "night.prom").read_text()
    for decision, orders in (("left_for_later", 17), ("not_asked", 0), ("nothing_to_mail", 5)):
        assert f'waiting_orders{{decision="{decision}"}} {orders}.0\n' in metrics


# --- what a run skipped because another call mails for it ----------------------------------------


def skip_some(desk: Desk, ca: Simulator) -> None:
    """Have a list with orders that are not DV, and more of these at the CA than the list has."""
    names = [f"{letter}.example" for letter in "abcd"]
    for number in range(1, 5):
        ca.world.add(WorldOrder(FIRST + number, product="ssl_basic", domains=tuple(names)))
    ca.world.add(WorldOrder(FIRST + 5, product="ssl_basic", status="issued"))
    ca.world.add(WorldOrder(FIRST + 6, product="ssl_basic", domains=("other.example",)))
    ca.world.add(WorldOrder(FIRST + 7))
    ca.world.orders[FIRST + 1].approved.add("a.example")
    for number in range(1, 5):
        ca.world.orders[FIRST + 4].approved.add(names[number - 1])
    numbers = "".join(f"{FIRST + n},ssl_basic,,\n" for n in (1, 4, 5))
    named = f"{FIRST + 6},ssl_basic,gone.example,admin@gone.example\n" + "".join(
        f"{FIRST + 2},ssl_basic,{name},admin@{name[-9:]}\n" for name in ("b.example", "*.c.example")
    )
    heading = "order_id,product,domain,email\n"
    desk.write("numbers.csv", heading + numbers + f"{FIRST + 7},,,\n")
    desk.write("named.csv", heading + named)


def scopes(ca: Simulator) -> list[str]:
    """Return the names for which mails of domains were asked for."""
    bodies = [body for asked in ca.books.bodies.values() for body in asked]
    return sorted(body["name_scope"] for body in bodies if body)


async def test_of_a_run_is_written_what_it_skipped_for_another_call_and_nothing_else(
    tmp_path: Path,
) -> None:
    """The promise is that nobody is mailed but whom the list asked to be mailed."""
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        skip_some(desk, ca)
        sent = await desk.run("send", "numbers.csv", "named.csv", "--all-domains")
        assert sent.code == 3, sent.err
        run = desk.summary()["run_id"]
        step = f"batch-resend export --skipped-by {run}"
        assert step in sent.out
        assert "--product" not in sent.out
        ca.books.reads_of.clear()
        exported = await desk.run("export", "--skipped-by", run, "--out", "domains.csv", "-q")
        assert (exported.code, exported.err) == (0, "")
        assert ca.books.reads_of["validation"] == 4, "each of these that the CA's list has"
        with (tmp_path / "domains.csv").open() as file:
            lines = [(line["order_id"], line["domains"]) for line in csv.DictReader(file)]
        assert lines == [
            *((str(FIRST + 1), name) for name in ("b.example", "c.example", "d.example")),
            *((str(FIRST + 2), name) for name in ("b.example", "c.example")),
        ]
        told = (await desk.run("export", "--skipped-by", run)).err
        assert told == (
            "2 orders wait.\n"
            "1 order more with all names approved: nothing to mail.\n"
            "1 order more of that run, left out: not in the CA's list of orders that wait.\n"
            "1 order more, left out: none of the domains that the run's list named waits there.\n"
            "This list has no addresses: sent with --call domain-dcv, it has the CA mail its "
            "contacts on file for each domain.\n"
            "The run's list named addresses for 1 order: to have only those mailed, add them in "
            "a column email first. `batch-resend help calls` says what to beware of.\n"
        )
        mailed = await desk.run("send", "domains.csv", "--call", "domain-dcv", "--json")
        assert mailed.code == 0, mailed.err
        assert scopes(ca) == ["b.example", "c.example", "d.example"], "each once"
        nothing = await desk.run("export", "--skipped-by", json.loads(mailed.out)["run_id"])
        assert nothing.code == 1
        assert "skipped no order that may wait for mails of another call" in nothing.err


def shop(order: int) -> str:
    """Return the name that an order is for."""
    return f"shop{order}.example.com"


UNREAD = "could not be asked about"
LISTED = (
    "of them could not be asked about: listed with all names that the run was to mail, approved"
)
LEFT_OUT = (
    "1 order more, left out: could not be asked about, and the CA's list has none of the domains"
)


@pytest.mark.parametrize(
    ("named", "readable", "written", "said"),
    [
        pytest.param("", False, True, f"1 {LISTED}", id="all names, unread"),
        pytest.param("own", False, True, f"1 {LISTED}", id="its name, unread"),
        pytest.param("other", False, False, LEFT_OUT, id="another name, unread"),
        pytest.param("", True, True, "", id="all names"),
        pytest.param("own", True, True, "", id="its name"),
        pytest.param(
            "other", True, False, "1 order more, left out: none of the", id="another name"
        ),
    ],
)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside one that was read"])
async def test_of_an_order_that_cannot_be_asked_about_is_said_whether_it_is_listed(
    tmp_path: Path, named: str, readable: bool, written: bool, said: str, *, beside: bool
) -> None:
    first, second = FIRST + 1, FIRST + 2
    both = lists(pending(first), *([pending(second)] if beside else []))
    for number in (first, second):
        answer = validation((shop(number), "unapproved"))
        is_refused = number == first and not readable
        refusal = error(404, "not_found|order")
        both = with_answer(f"/{number}/validation", refusal if is_refused else answer, both)
    if not readable:
        both = with_answer(f"/certificate/{first}", error(404, "not_found|order"), both)
    async with desk_at(tmp_path, both) as (desk, _):
        name = {"own": shop(first), "other": "other.example"}.get(named, "")
        mail = f"admin@{name}" if name else ""
        rows = [f"{first},ssl_basic,{name},{mail}"]
        rows += [f"{second},ssl_basic,{shop(second)},admin@{shop(second)}"] * beside
        desk.write("list.csv", "\n".join(("order_id,product,domain,email", *rows)) + "\n")
        await desk.run("send", "list.csv", "--all-domains")
        export = ("export", "--skipped-by", "latest")
        exported = await desk.run(*export)
        listed = [row["order_id"] for row in records(exported)]
        assert listed == [str(first)] * written + [str(second)] * beside
        told = exported.err.splitlines()
        assert told[0] == f"{len(listed)} order{' waits' if len(listed) == 1 else 's wait'}."
        assert [line.startswith(said) for line in told[1:2]] == [True], told
        assert exported.err.count(UNREAD) == (not readable)
        counts = json.loads((await desk.run(*export, "--json", "--out", "d.csv")).out)
        assert counts["waiting"] == len(listed)
        unread = not readable
        assert counts["unread"] == (written and unread)
        assert counts["unread_left_out"] == (not written and unread)
        assert counts["other_domains"] == (not written and not unread)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_what_a_run_skipped_of_several_accounts_is_written_and_sent_by_each(
    tmp_path: Path, form: str
) -> None:
    async with town(tmp_path) as at:
        for ca, number in ((at.shop, 1), (at.bank, 2)):
            domains = (f"{number}.example",)
            ca.world.add(WorldOrder(FIRST + number, product="ssl_basic", domains=domains))
        rows = f"{FIRST + 1},ssl_basic,shop\n{FIRST + 2},ssl_basic,bank\n"
        at.desk.write("orders.csv", f"order_id,product,account\n{rows}")
        await at.desk.run("send", "orders.csv")
        run = at.desk.summary()["run_id"]
        export = ("export", "--skipped-by", run)
        assert [(r["domains"], r["account"]) for r in records(await at.desk.run(*export))] == [
            ("1.example", "shop"), ("2.example", "bank"),
        ]  # fmt: skip
        await at.desk.run(*export, "--format", form, "--out", "domains.list")
        sent = await at.desk.run("send", "domains.list", "--call", "domain-dcv")
        assert sent.code == 0, sent.err
        assert (scopes(at.shop), scopes(at.bank)) == (["1.example"], ["2.example"])


async def test_of_another_profiles_run_is_said_which_to_name_and_nobody_is_asked(
    tmp_path: Path,
) -> None:
    async with town(tmp_path) as at:
        at.desk.write("orders.csv", f"order_id,product\n{FIRST + 1},ssl_basic\n{FIRST + 2},\n")
        await at.desk.run("send", "orders.csv", "--profile", "bank")
        run, reads = at.desk.summary()["run_id"], at.bank.books.reads
        refused = await at.desk.run("export", "--skipped-by", run, "--profile", "shop")
        assert refused.code == 1
        assert "give --profile bank" in refused.err
        assert (at.shop.books.reads, at.bank.books.reads) == (0, reads)
