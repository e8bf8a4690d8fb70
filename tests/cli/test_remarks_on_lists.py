"""What a person writes about a list, as a user meets it: nothing leaves until it is taken out."""

import re
import shlex
from pathlib import Path

import pytest

from batch_resend.simulator import Simulator
from tests.cli.conftest import desk_with_ca
from tests.intake.conftest import workbook

PAIRS = "order_id,domain,email\n" + "".join(
    f"{100200500 + n},d{n}.example.com,admin@example.com\n" for n in range(1, 21)
)
ALONE = "order_id,team\n100200301,x\n100200302,\n100200303,x\n"
COMMAND = re.compile(r"then: batch-resend check (.+)$")


def requests(ca: Simulator) -> int:
    """Return how many requests the CA has had."""
    return ca.books.requests


@pytest.mark.parametrize("remark", ["Do not send the first three", "only www", "nicht senden"])
@pytest.mark.parametrize("options", [(), ("--all-domains",)])
async def test_a_list_with_a_remark_below_is_sent_once_that_line_is_gone(
    tmp_path: Path, remark: str, options: tuple[str, ...]
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("c.csv", f"{PAIRS}{remark}\n")
        refused = await desk.run("send", *options, "c.csv")
        assert refused.code == 1
        assert f"c.csv, line 22: {remark!r}" in refused.err
        assert requests(ca) == 0
        found = COMMAND.search(refused.err.strip())
        assert found is not None
        desk.write("c.csv", PAIRS)
        checked = await desk.run("check", *shlex.split(found[1]))
        assert checked.code == 0
        sent = await desk.run("send", *options, "c.csv")
        assert sent.code == 0
        assert requests(ca) == 20


async def test_all_domains_of_some_orders_or_of_all_is_another_question_than_which_domains(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("f.csv", ALONE)
        refused = await desk.run("send", "--all-domains", "f.csv")
        assert refused.code == 1
        assert '--ignore "team"' in refused.err
        assert requests(ca) == 0
        sent = await desk.run("send", "--all-domains", "--ignore", "team", "f.csv")
        assert sent.code == 0
        assert requests(ca) == 3


async def test_a_sheet_that_is_called_only_something_is_sent_by_its_name(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        (tmp_path / "w.xlsx").write_bytes(workbook([["Order ID"], [100200301]], "only www"))
        refused = await desk.run("send", "w.xlsx")
        assert refused.code == 1
        assert requests(ca) == 0
        found = COMMAND.search(refused.err.strip())
        assert found is not None
        sent = await desk.run("send", *shlex.split(found[1]))
        assert sent.code == 0
        assert requests(ca) == 1


async def test_once_the_rows_that_are_named_as_done_are_gone_none_is_left_that_is_marked_so(
    tmp_path: Path,
) -> None:
    marks = (
        "Erledigt, Müller",
        "erledigt",
        "done (Kim)",
        "erledigt MM",
        "Müller: storniert",
        "erl.",
    )
    others = ("", "Müller GmbH", "Fertig GmbH", "ruft zurück, Kim")
    rows = [
        f'{100200500 + n},d{n}.example.com,admin@example.com,"{text}"\n'
        for n, text in enumerate((*marks, *others), start=1)
    ]
    head = "order_id,domain,email,Bemerkung\n"
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("c.csv", head + "".join(rows))
        refused = await desk.run("send", "c.csv")
        assert refused.code == 1
        assert f"{len(marks)} cells of 'Bemerkung'" in refused.err
        assert requests(ca) == 0
        desk.write("c.csv", head + "".join(rows[len(marks) :]))
        sent = await desk.run("send", "--ignore", "Bemerkung", "c.csv")
        assert sent.code == 0
        assert requests(ca) == len(others)
