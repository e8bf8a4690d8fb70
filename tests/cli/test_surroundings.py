"""Where little is as usual: a locale of ASCII, odd folders, no home."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import desk_with_ca

pytestmark = pytest.mark.asyncio

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.skipif(
    not (__file__ + sys.prefix).isascii(),
    reason="in such a locale Python itself cannot read where this checkout is",
)
async def test_a_locale_of_ascii_sends_the_same_from_a_folder_with_umlauts_in_its_name(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "bätch ✉ resend"
    folder.mkdir()
    async with desk_with_ca(folder, unknown_orders=frozenset({"1002"})) as (desk, ca):
        desk.write(
            "örders.csv", "order_id,domain,email\n1001,exämple.com,admin@exämple.com\n1002,,\n"
        )
        desk.environment |= ASCII | {"BATCH_RESEND_JOURNAL": "jöurnal.db"}
        sent = await desk.run("send", "örders.csv", "--all-domains")
        assert sent.code == 3, sent.err
        assert "1 of 2 orders sent" in sent.out
        assert (folder / "jöurnal.db").is_file()
        summary = json.loads((desk.report() / "summary.json").read_text(encoding="utf-8"))
        assert summary["orders"]["sent"] == ca.books.mails == 1
        shown = await desk.run("show", summary["run_id"])
        assert shown.code == 0, shown.err
        again = await desk.run("send", "örders.csv")
        assert again.code == 3, again.err
        assert ca.books.mails == 1


async def test_without_a_home_the_journal_is_asked_for(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write_list(1)
        desk.environment["HOME"] = "/dev/null"
        del desk.environment["BATCH_RESEND_JOURNAL"]
        nowhere = await desk.run("send", "orders.csv")
        assert nowhere.code == 1
        assert "--journal" in nowhere.err
        assert ca.books.requests == 0
        assert (await desk.run("send", "orders.csv", "--journal", "journal.db")).code == 0
