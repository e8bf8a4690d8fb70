"""`verify`: what has come of the orders that were sent, and of those mailed several times."""

import json
import re
import shlex
import signal
from pathlib import Path

import pytest

from batch_resend.simulator import FaultName, WorldOrder
from tests.certcentral.fault_server import NO_CONTENT
from tests.cli.conftest import (
    A_NO,
    FailsOnce,
    desk_of,
    desk_with_ca,
    ended,
    read_summary,
    run_ids,
    until,
)
from tests.cli.raw_service import (
    NO_REPORT,
    NO_SUCH_CALL,
    SOME,
    Asked,
    accept_all,
    as_json,
    desk_at,
    error,
    pending,
    validation,
    with_answer,
)


async def test_orders_sent_are_asked_about_and_the_report_tells_of_them(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"6"})) as (desk, ca):
        for number in range(1, 5):
            ca.world.add(WorldOrder(number))
        desk.write("orders.csv", "order_id,locale\n1,de\n1,en\n2,\n3,\n4,\n5,\n6,\n")
        await desk.run("send", "orders.csv", "--all-domains")
        run = desk.summary()["run_id"]
        ca.world.orders[1].status = ca.world.orders[2].status = "issued"
        verified = await desk.run("verify", run)
        assert verified.code == 0, verified.err
        assert verified.out == (
            f"Of 5 orders sent by run {run}\n  pending   3\n  issued    2\n"
            "Names that still wait\n"
            "  3         its name is not approved yet\n"
            "  4         its name is not approved yet\n"
            "  5         its name is not approved yet\n"
        )
        assert ca.books.reads_of == {"status-changes": 1, "validation": 3}, (
            "what changed of all, and of each that waits its names"
        )
        page = (desk.report() / "report.html").read_text()
        assert "What has come of it" not in page
        await desk.run("report", run)
        page = (desk.report() / "report.html").read_text()
        assert "of 5 orders sent 3 are pending, 2 are issued." in page


async def test_what_is_in_doubt_is_asked_about_and_told_apart(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(7)
        for number in numbers:
            ca.world.add(WorldOrder(int(number)))
        ca.fail({FaultName.DROP: 1.0})
        doubted = await desk.run("send", "orders.csv", "--in-doubt", "hold")
        run = desk.summary()["run_id"]
        assert desk.summary()["orders"]["in_doubt"] == 7
        (command,) = re.findall(r"batch-resend (verify .*)", doubted.out)
        ca.fail({})
        ca.world.orders[int(numbers[0])].status = "issued"
        verified = await desk.run(*shlex.split(command))
        assert verified.code == 0, verified.err
        assert verified.out == (
            f"Of 7 orders in doubt after run {run}\n  waiting   6\n  issued    1\n"
            "That an order in doubt waits does not say whether its mail arrived. What no longer "
            "waits needs no other mail.\n"
        )
        told = json.loads((await desk.run("verify", "--json")).out)
        assert (told["run"], told["orders"], told["statuses"]) == (run, 0, {})
        assert told["in_doubt"] == {"orders": 7, "statuses": {"waiting": 6, "issued": 1}}
        await desk.run("report", run)
        page = (desk.report() / "report.html").read_text()
        assert "of 7 orders in doubt 6 are waiting, 1 is issued." in page
        assert "does not say whether its mail arrived" in page


async def test_what_another_run_has_sent_since_is_in_doubt_no_more(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        numbers = desk.write_list(6)
        for number in numbers:
            ca.world.add(WorldOrder(int(number)))
        ca.fail({FaultName.HANG: 1.0})
        process = await desk.start("send", "orders.csv")
        await until(lambda: ca.books.mails == 1)
        process.kill()
        await ended(process)
        (run,) = await run_ids(desk)
        ca.fail({})
        assert f"Of 1 order in doubt after run {run}" in (await desk.run("verify", run)).out
        lines = (tmp_path / "orders.csv").read_text().splitlines(keepends=True)
        desk.write("some.csv", "".join(lines[:-1]))
        assert (await desk.run("send", "some.csv", "--in-doubt", "retry")).code == 0
        assert "5 skipped" in (await desk.run("resume", run)).out
        told = json.loads((await desk.run("verify", run, "--json")).out)
        assert told["in_doubt"] == {"orders": 0, "statuses": {}}


async def test_an_order_in_two_languages_is_one_order_wherever_orders_are_counted(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        rows = [f"10020030{n},s{n}.example,admin@s{n}.example" for n in (3, 4, 5)]
        text = "\n".join(f"{row},{language}" for row in rows for language in ("de", "en"))
        desk.write("orders.csv", f"order_id,domain,email,locale\n{text}\n")
        sent = await desk.run("send", "orders.csv")
        assert sent.code == 0, sent.err
        assert ca.books.mails_per_order == dict.fromkeys(("100200303", "100200304", "100200305"), 2)
        assert "6 of 6 requests sent" in sent.out
        counted = "an order counts once for each language, and for each call; 3 orders in all"
        assert f"  counted   {counted}\n" in sent.out
        assert (desk.summary()["orders"]["total"], desk.summary()["order_numbers"]) == (6, 3)
        assert counted in (desk.report() / "report.html").read_text()
        assert f"  counted   {counted}\n" in (await desk.run("show")).out
        verified = await desk.run("verify")
        assert re.match(r"Of 3 orders sent by run \S+\n  \w+ +3\n", verified.out)
        desk.write("one.csv", f"order_id,domain,email,locale\n{rows[0]},de\n")
        again = await desk.run("send", "one.csv", "--again")
        assert "1 of 1 orders sent" in again.out
        assert "counted" not in again.out


@pytest.mark.parametrize(("orders", "statuses"), [(2, {"pending": 2}), (40, {"waiting": 40})])
async def test_in_a_rehearsal_the_orders_of_ones_own_list_wait_once_they_were_mailed(
    tmp_path: Path, orders: int, statuses: dict[str, int]
) -> None:
    """Asked one by one, or by what has changed: as the CA, the simulator knows what it mailed."""
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write_list(orders)
        assert (await desk.run("send", "orders.csv")).code == 0
        asked = json.loads((await desk.run("verify", "--json")).out)
        assert asked["statuses"] == statuses


async def test_a_run_that_has_sent_nothing_costs_no_request(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"100200301"})) as (desk, ca):
        desk.write("orders.csv", "order_id\n100200301\n")
        await desk.run("send", "orders.csv", "--all-domains")
        run = desk.summary()["run_id"]
        told = await desk.run("verify", run)
        assert (told.code, told.out) == (0, f"Run {run} sent no orders, and left none in doubt.\n")
        assert ca.books.reads == 0
        assert (await desk.run("verify")).out == told.out, "there is no other run"
        unknown = await desk.run("verify", "20200101-000000-beef")
        assert unknown.code == 1
        assert "no run '20200101-000000-beef'" in unknown.err


async def test_unless_one_is_named_it_is_about_the_newest_run_that_sent_something(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        for number in desk.write_list(2):
            ca.world.add(WorldOrder(int(number)))
        await desk.run("send", "orders.csv")
        sent = desk.summary()["run_id"]
        await desk.run("send", "orders.csv")  # within the cooldown: all are skipped
        asked = await desk.run("verify")
        assert asked.out.startswith(f"Of 2 orders sent by run {sent}\n")
        assert json.loads((await desk.run("verify", "--json")).out)["run"] == sent


async def test_what_an_earlier_run_left_in_doubt_is_asked_about_as_that_runs(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        for number in desk.write_list(2):
            ca.world.add(WorldOrder(int(number)))
        ca.fail({FaultName.DROP: 1.0})
        hold = ("send", "orders.csv", "--in-doubt", "hold")
        await desk.run(*hold)
        run = desk.summary()["run_id"]
        ca.fail({})
        await desk.run(*hold, "--report-dir", "again")
        again = read_summary(tmp_path / "again")
        assert (again["orders"]["in_doubt"], again["requests"]["attempts"]) == (2, 0)
        asked = await desk.run("verify")
        assert asked.out.startswith(f"Of 2 orders in doubt after run {run}\n")


async def test_what_was_answered_before_the_ca_failed_is_kept_and_its_names_are_not_missed(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, latency_s=(0.1, 0.1)) as (desk, ca):
        numbers = desk.write_list(4)
        for number in numbers:
            ca.world.add(WorldOrder(int(number)))
        await desk.run("send", "orders.csv", "--all-domains")
        run = desk.summary()["run_id"]
        assert (await desk.run("verify", run)).code == 0
        ca.world.orders[int(numbers[0])].status = "issued"
        reads = ca.books.reads
        failing = await desk.start("verify", run, "--max-attempts", "1")
        await until(lambda: ca.books.reads > reads)
        ca.fail({FaultName.SERVER_ERROR: 1.0})
        assert (await ended(failing)).code == 0, "names that nobody asked for"
        await desk.run("report", run)
        page = (desk.report() / "report.html").read_text()
        assert "of 4 orders sent 3 are waiting, 1 is issued." in page


# --- in as few requests as serve ----------------------------------------------------------------


def each_by_itself(asked: Asked) -> bytes:
    """Answer for any order by its own call, every other one issued; have none of the others."""
    info = re.fullmatch("/order/certificate/([0-9]+)", asked.path)
    if info is None:
        return NO_SUCH_CALL
    return as_json(pending(int(info[1]), status="issued" if int(info[1]) % 2 else "pending"))


async def test_what_has_become_of_a_thousand_orders_takes_one_request(tmp_path: Path) -> None:
    async with desk_at(tmp_path, accept_all, 1_000) as (desk, service):
        assert (await desk.run("send", "orders.csv")).code == 0
        changes = [
            {"order_id": int(n), "certificate_id": 1, "status": "issued"}
            for n in service.mailed()[:700]
        ]
        for shape in ({"orders": changes}, changes):  # as the pages have it, and a bare list
            service.asked.clear()
            service.answer_to = with_answer(
                "/status-changes?minutes=", as_json(shape), lambda _: NO_SUCH_CALL
            )
            found = await desk.run("verify", desk.report().name, "--json")
            assert found.code == 0, found.err
            assert "asking" not in found.err
            assert json.loads(found.out)["statuses"] == {"issued": 700, "waiting": 300}
            assert len(service.asked) == 1
        await desk.run("report", desk.report().name)
        page = (desk.report() / "report.html").read_text()
        assert "of 1,000 orders sent 700 are issued, 300 are waiting" in page


@pytest.mark.parametrize(
    ("answer", "statuses", "reads"),
    [
        pytest.param(as_json({}), {"waiting": 20}, 1, id="nothing has changed"),
        pytest.param(NO_CONTENT, {"waiting": 20}, 1, id="no more is there an answer of nothing"),
        pytest.param(
            as_json({"orders": [], "page": {"total": 5_000, "limit": 1_000, "offset": 0}}),
            {"issued": 10, "pending": 10}, 21, id="a part of them",
        ),
        *(
            pytest.param(answer, {"issued": 10, "pending": 10}, times + 20, id=name)
            for name, (answer, times) in NO_REPORT.items()
        ),
    ],
)  # fmt: skip
async def test_where_status_changes_do_not_say_it_each_order_is_asked_about(
    tmp_path: Path, answer: bytes, statuses: dict[str, int], reads: int
) -> None:
    async with desk_at(tmp_path, accept_all, 20) as (desk, service):
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = with_answer("/status-changes", answer, each_by_itself)
        one = ("--max-attempts", "1")
        found = await desk.run("verify", desk.report().name, "--json", "--no-names", *one)
        assert found.code == 0, found.err
        assert json.loads(found.out)["statuses"] == statuses
        assert len(service.paths("GET")) == reads


@pytest.mark.parametrize("fault", FaultName)
async def test_a_list_of_status_changes_that_fails_once_is_read_again_unless_the_ca_says_no(
    tmp_path: Path, fault: FaultName
) -> None:
    async with FailsOnce("/status-changes", fault) as ca:
        desk = desk_of(tmp_path, ca)
        assert (await desk.run("send", "orders.csv")).code == 0
        asked = await desk.run("verify", "--no-names")
        assert asked.code == 0, asked.err
        if fault in A_NO:
            assert ca.books.reads_of == {"status-changes": 1, "order": 25}
            why = "asked one by one, because the CA refuses /order/certificate/status-changes: "
            assert f"[warning  ] what became of 25 orders: {why}" in asked.err
        else:
            assert ca.books.reads_of == {"status-changes": 2}
            assert "one by one" not in asked.err


@pytest.mark.parametrize("orders", [2, 8])
async def test_an_order_that_the_ca_says_it_does_not_have_is_never_told_as_waiting(
    tmp_path: Path, orders: int
) -> None:
    """As in another account: the list of changes is silent of it, its own calls are not."""
    async with desk_at(tmp_path, accept_all, orders) as (desk, service):
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = with_answer(
            "/status-changes", as_json({"orders": []}), lambda _: error(404, "not_found|order")
        )
        found = await desk.run("verify", "--json", "--names")
        assert found.code == 0, found.err
        assert json.loads(found.out)["statuses"] == {"unknown": orders}
        verified = await desk.run("verify", "--names")
        assert f"  not known to the CA {orders}\n" in verified.out


async def test_an_order_is_not_unknown_where_only_its_names_are(tmp_path: Path) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.path.endswith("/validation"):
            return error(404, "not_found|order")
        return each_by_itself(asked)

    async with desk_at(tmp_path, accept_all, 20) as (desk, service):
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = with_answer("/status-changes", NO_SUCH_CALL, answer)
        found = await desk.run("verify", "--json", "--names")
        assert found.code == 0, found.err
        assert json.loads(found.out)["statuses"] == {"issued": 10, "pending": 10}


async def test_what_verify_learned_before_ctrl_c_is_kept(tmp_path: Path) -> None:
    async with desk_at(
        tmp_path, accept_all, 90, lambda asked: 0.5 * (asked.method == "GET")
    ) as (desk, service):  # fmt: skip
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = each_by_itself
        run = desk.report().name
        verifying = await desk.start("verify", run, "--no-names")
        await until(lambda: service.requests >= 90 + 10)
        verifying.send_signal(signal.SIGINT)
        cut_off = await ended(verifying)
        assert cut_off.code == 130
        assert f"orders is kept; `batch-resend report {run}` shows it" in cut_off.err
        await desk.run("report", run)
        page = (desk.report() / "report.html").read_text()
        found = re.search("of 90 orders sent .*, ([0-9]+) were not asked about.", page)
        assert 1 <= int(found[1] if found else 0) <= 82


async def test_verify_and_the_report_say_how_many_names_are_approved(tmp_path: Path) -> None:
    async with desk_at(tmp_path, accept_all, 4) as (desk, service):
        assert (await desk.run("send", "orders.csv")).code == 0
        service.answer_to = with_answer("/validation", validation(*SOME), lambda _: as_json({}))
        found = await desk.run("verify", desk.report().name)
        assert found.code == 0, found.err
        assert found.out.count("3 of 5 names approved") == 4
        as_program = await desk.run("verify", desk.report().name, "--json")
        (first, *_) = json.loads(as_program.out)["waiting_names"]
        assert first == {"order_id": "700000", "approved": 3, "names": 5}
        await desk.run("report", desk.report().name)
        assert "3 of 5 names approved" in (desk.report() / "report.html").read_text()


@pytest.mark.parametrize("words", [("verify",), ("resume",)])
async def test_of_a_rehearsal_that_has_ended_it_says_so_at_once_and_what_to_do(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        desk.write("orders.csv", "order_id\n1\n2\n3\n")
        await desk.run("send", "orders.csv", "--all-domains", "--max-orders", "1")
        run = desk.summary()["run_id"]
    del desk.environment["BATCH_RESEND_BASE_URL"]
    ended_already = await desk.run(*words, timeout_s=20)
    assert (ended_already.code, ended_already.out) == (1, "")
    assert f"run {run} is for 127.0.0.1:" in ended_already.err
    assert ("batch-resend verify" in ended_already.err) is (words == ("verify",))
    assert "`batch-resend runs` lists all" in ended_already.err


async def test_of_several_runs_it_says_which_it_asked_about_and_how_to_ask_about_another(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        for order in "12":
            desk.write("orders.csv", f"order_id\n{order}\n")
            assert (await desk.run("send", "orders.csv", "--all-domains")).code == 0
            only = "That is only the newest run" in (await desk.run("verify")).out
            assert only is (order == "2"), "of the only one there is nothing to say"
            assert (await desk.run("sweep")).code == 0, "a night that sent nothing is none of them"
        named = await desk.run("verify", "latest")
        assert "only the newest" not in named.out
