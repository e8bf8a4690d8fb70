"""The samples of the library, run as they stand, and checked by two judges of types."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import KEY, Desk, Ended, desk_with_ca, ended, results
from tests.cli.test_sweep import wait

SAMPLES = Path(__file__).parent.parent / "samples" / "library"
APPROVALS = "CREATE TABLE approvals (order_id INTEGER, domain TEXT, email TEXT, mailed_at TEXT)"


async def run(desk: Desk, sample: str, *arguments: str) -> Ended:
    """Run a sample as its user would."""
    program = [sys.executable, str(SAMPLES / sample), *arguments]
    environment = {"DIGICERT_API_KEY": KEY, "CERTCENTRAL_URL": desk.base_url}
    return await ended(await desk.start(program=program, **environment))


@pytest.mark.asyncio
async def test_what_a_query_finds_is_sent_and_written_down_where_it_came_from(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"1003"})) as (desk, ca):
        with sqlite3.connect(tmp_path / "shop.db") as shop:
            shop.execute(APPROVALS)
            rows = [(n, f"d{n}.example.com", f"admin@d{n}.example.com") for n in range(1001, 1005)]
            shop.executemany("INSERT INTO approvals VALUES (?, ?, ?, NULL)", rows)
            shop.execute("UPDATE approvals SET mailed_at = 'earlier' WHERE order_id = 1004")
            shop.execute("INSERT INTO approvals VALUES (1001, 'bad.example.com', 'nobody', NULL)")
            shop.commit()
            done = await run(desk, "from_database.py", "shop.db")
            assert done.code == 3, done.err
            rejected, refused = done.err.splitlines()
            assert rejected.startswith("row 2: "), "the second of what the query finds"
            assert refused.startswith("1003 refused: ")
            assert set(ca.books.mails_per_order) == {"1001", "1002"}
            waiting = "SELECT order_id, domain FROM approvals WHERE mailed_at IS NULL"
            left = [(1003, "d1003.example.com"), (1001, "bad.example.com")]
            assert shop.execute(waiting).fetchall() == left
            # As if it had been cut off between the mail and the note of it.
            shop.execute("UPDATE approvals SET mailed_at = NULL WHERE domain = 'd1001.example.com'")
            shop.commit()
            await run(desk, "from_database.py", "shop.db")
            assert ca.books.mails_per_order["1001"] == 1
            assert shop.execute(waiting).fetchall() == left
        shop.close()


@pytest.mark.asyncio
async def test_a_report_of_ones_own_counts_what_the_programs_own_does(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, unknown_orders=frozenset({"2"})) as (desk, _):
        desk.write(
            "list.csv", "order_id,domain,email\n1,a.test,admin@a.test\n2,a.test,admin@a.test\n3,,\n"
        )
        assert (await desk.run("send", "list.csv", "--all-domains")).code == 3
        shown = await run(desk, "own_report.py", "journal.db", desk.summary()["run_id"])
        assert shown.code == 0, shown.err
        assert shown.out.splitlines() == [
            "| domain | sent | refused | failed | in_doubt | not_attempted | skipped |",
            "|---|---|---|---|---|---|---|",
            "| (every pending domain) | 1 | 0 | 0 | 0 | 0 | 0 |",
            "| a.test | 1 | 1 | 0 | 0 | 0 | 0 |",
        ]
        assert len(results(desk.report())) == 3


@pytest.mark.asyncio
async def test_a_call_of_ones_own_is_answered_and_counts_in_the_windows(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path, api_key=KEY) as (desk, ca):
        wait(ca, 1, 2)
        told = await run(desk, "own_call.py", "1", "2")
        assert told.code == 0, told.err
        assert [line.split()[0] for line in told.out.splitlines()] == ["1", "2"]
        assert ca.books.reads == 2
        with sqlite3.connect(tmp_path / "journal.db") as journal:
            assert journal.execute("SELECT count(*) FROM reads").fetchone() == (2,)
        journal.close()


def test_a_program_that_uses_the_library_is_tested_without_a_ca(tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "test_own_program.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("judge", ["mypy", "basedpyright"])
def test_a_project_that_uses_the_library_is_rightly_typed(tmp_path: Path, judge: str) -> None:
    shutil.copytree(SAMPLES, tmp_path / "project")
    command = {
        "mypy": ["mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "."],
        "basedpyright": ["basedpyright", "--pythonpath", sys.executable, "."],
    }[judge]
    (tmp_path / "project" / "pyproject.toml").write_text(
        '[tool.basedpyright]\ntypeCheckingMode = "strict"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path / "project",
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
