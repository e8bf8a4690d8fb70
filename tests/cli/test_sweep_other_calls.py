"""Orders that a sweep does not mail only because they are not DV: no night forgets them."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator, WorldOrder
from tests.cli.conftest import Desk, desk_with_ca, read_summary
from tests.cli.test_sweep import wait
from tests.notify.listener import listening

WAITING = "perhaps waiting for mails of another call"
NIGHT = ("sweep", "--yes", "--report-dir", "nights/{run}", "--metrics-file", "night.prom")


def fill(ca: Simulator) -> None:
    """Let orders wait that are DV, and others; of these only two for mails that may be sent."""
    wait(ca, 9)
    wait(ca, 9, first=2, product="ssl_plus", domains=("ov.example", "www.ov.example"))
    wait(ca, 9, first=3, product="ssl_ev_plus", domains=("ev.example",))
    wait(ca, 0.5, first=4, product="ssl_plus", domains=("young.example",))
    wait(ca, 9, first=5, product="ssl_basic", domains=("excluded.example",))


def advised(text: str) -> list[list[str]]:
    """Return the commands that a night advises, as words."""
    return [shlex.split(one)[1:] for one in re.findall(r"^  (batch-resend .+)$", text, re.M)]


@pytest.mark.parametrize("is_any_due", [True, False], ids=["with mails", "with nothing to send"])
async def test_every_place_says_how_many_wait_for_mails_of_another_call_and_the_night_ends_well(
    tmp_path: Path, is_any_due: bool
) -> None:
    async with listening() as hook, desk_with_ca(tmp_path) as (desk, ca):
        fill(ca)
        if not is_any_due:
            del ca.world.orders[1]
        desk.write("out.csv", "order_id\n5\n")
        night = await desk.run(*NIGHT, "--exclude", "out.csv", "--notify-url", hook.url)
        assert night.code == 0, night.err
        shown = await desk.run("show")
    (folder,) = (tmp_path / "nights").glob("*/")
    page = (folder / "report.html").read_text()
    for text in (night.out + night.err, shown.out, page):
        assert f"2 {WAITING} (not DV)" in text
        assert "2 orders wait that are not DV" in text
    note = json.loads(hook.posts[-1][1])
    assert f"; 2 {WAITING}" in note["text"]
    assert note["sweep"]["other_call"] == 2
    counts = read_summary(folder)["sweep"]
    assert (counts["nothing_to_mail"], counts["too_young"], counts["excluded"]) == (0, 1, 1)
    assert counts["other_products"] == ["ssl_ev_plus", "ssl_plus"]
    assert f"2 {WAITING}" in (tmp_path / "nights" / "index.html").read_text()
    assert 'waiting_orders{decision="other_call"} 2.0\n' in (tmp_path / "night.prom").read_text()


async def mailed_as_advised(desk: Desk, ca: Simulator, *options: str) -> set[str]:
    """Do what a night advises; return for which domains mails went out."""
    desk.write("out.csv", "order_id\n5\n")
    night = await desk.run(*NIGHT, *options)
    assert night.code == 0, night.err
    before, (export, send) = dict(ca.books.mails_per_order), advised(night.out)
    assert (await desk.run(*export)).code == 0
    (list_,) = desk.folder.glob("domains-*.csv")
    with list_.open() as file:
        names = {row["domain_id"]: row["domains"] for row in csv.DictReader(file)}
    sent = await desk.run(*send, "--yes")
    assert sent.code == 0, sent.err
    assert ca.books.wrong_request_count == 0
    return {names.get(one, one) for one in ca.books.mails_per_order.keys() - before.keys()}


async def test_what_it_advises_mails_the_domains_of_these_and_no_others(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(ca)
        wait(ca, 9, first=6, product="ssl_plus", domains=("dns.example",), dcv_method="dns-txt")
        wait(ca, 9, first=7, product="Odd 'One", domains=("odd.example",))
        ca.world.orders[2].approved.add("www.ov.example")
        found = await mailed_as_advised(desk, ca, "--exclude", "out.csv")
        assert found == {"ov.example", "ev.example", "odd.example"}


async def test_what_it_advises_looks_only_where_the_sweep_did(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        fill(ca)
        wait(ca, 9, first=6, product="ssl_plus", domains=("o.example",), container="My Shop")
        wait(ca, 3, first=7, product="ssl_plus", domains=("p.example",), container="My Shop")
        some = ("--container", "My Shop", "--older-than", "5d")
        assert await mailed_as_advised(desk, ca, *some) == {"o.example"}


async def test_of_many_the_order_report_tells_which_wait_for_no_mail(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        wait(ca, *[9.0] * 21, product="ssl_plus", dcv_method="dns-txt-token")
        wait(ca, *[9.0] * 2, first=22, product="ssl_plus")
        night = await desk.run(*NIGHT, "-q")
        assert (
            f"23 orders wait: 21 with nothing to mail (not by e-mail, or approved), 2 {WAITING}"
            in night.out
        )
        assert ca.books.reads_of["validation"] == 0, "none is asked about by itself"


async def test_with_any_product_none_is_left(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        ca.world.add(WorldOrder(1, product="ssl_plus", created_at=1.0))
        night = await desk.run(*NIGHT, "--any-product")
        assert (ca.books.requests_per_order["1"], WAITING in night.out) == (1, False)
