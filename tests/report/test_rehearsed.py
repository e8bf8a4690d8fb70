"""What came of a rehearsal is told as such, and with it what to do next."""

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from batch_resend.list_form import ListForm, ListKind
from batch_resend.report import NextFlags, NextStep, next_steps
from batch_resend.report.summary import summarize
from batch_resend.results import InputNote
from tests.report.summaries import FOLDER, TALLY, run_at, summary


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("http://127.0.0.1:4711/services/v2", True),
        ("http://[::1]:4711/", True),
        ("https://localhost/", True),
        ("https://www.digicert.com/services/v2", False),
        ("https://10.0.0.1/", False),
        ("https://localhost.example/", False),
    ],
)
def test_a_rehearsal_is_a_run_against_the_machine_itself(url: str, *, is_one: bool) -> None:
    assert summarize(run_at(url), [], TALLY, [None]).is_rehearsal == is_one


@pytest.mark.parametrize(
    ("accounts", "is_one"),
    [
        pytest.param([None], True, id="the command's own"),
        pytest.param([None, "local"], True, id="another one here"),
        pytest.param([None, "bank"], False, id="one at the CA"),
        pytest.param(["unknown"], False, id="one of which nothing is known"),
    ],
)
def test_a_run_that_asks_any_account_elsewhere_is_no_rehearsal(
    accounts: list[str | None], *, is_one: bool
) -> None:
    run = run_at("http://127.0.0.1:4711/", local="http://[::1]:8080/", bank="https://ca.example/")
    assert summarize(run, [], TALLY, accounts).is_rehearsal == is_one


def test_sending_for_real_is_what_comes_after_a_rehearsal_that_went_well() -> None:
    def told(**changes: Any) -> str:
        run = summary(**changes).model_copy(update={"is_rehearsal": True})
        return "".join(step.text for step in next_steps(run, FOLDER))

    assert "for real" in told(sent=1)
    assert "for real" not in told(skipped=1)
    assert "for real" not in told(state="interrupted", sent=1, not_attempted=1)
    assert "for real" not in "".join(s.text for s in next_steps(summary(sent=1), FOLDER))


def test_a_rehearsal_that_ends_with_its_command_names_no_command_to_go_on_with() -> None:
    run = summary(failed=1, refused=1, sent=1).model_copy(update={"is_rehearsal": True})
    steps = next_steps(run, FOLDER, NextFlags(none_will_do=True))
    assert [step.command for step in steps] == [None, None, None]


def test_a_rehearsal_says_what_one_would_do_about_what_was_not_sent() -> None:
    run = summary(failed=1, in_doubt=2, rejected=3).model_copy(update={"is_rehearsal": True})
    left, in_doubt, rejected = next_steps(run, FOLDER, NextFlags(none_will_do=True))
    assert left.text.startswith("1 not sent: after a real run")
    assert in_doubt.text.startswith("2 in doubt: in a real run they may have been mailed.")
    assert "--in-doubt retry" in in_doubt.text
    assert rejected.text.startswith("3 rejected rows: reports/RUN/rejected.csv says why.")


def test_a_rehearsal_that_sent_nothing_may_have_had_a_wrong_url_and_no_simulator() -> None:
    run = summary(state="stopped", not_attempted=1).model_copy(update={"is_rehearsal": True})
    wrong, ended = next_steps(run, FOLDER, NextFlags(none_will_do=True))
    assert wrong.text.startswith("It has sent nothing at https://ca.example/services/v2. If that")
    assert ended.text.startswith("If this was a rehearsal, it cannot be resumed")


def test_a_rehearsal_that_was_interrupted_says_that_it_cannot_be_resumed() -> None:
    run = summary(state="interrupted", sent=1, not_attempted=1)
    run = run.model_copy(update={"is_rehearsal": True})
    (step,) = next_steps(run, FOLDER, NextFlags(none_will_do=True))
    assert step.text.startswith("This rehearsal cannot be resumed, ")


def told_for_real(name: str, columns: tuple[str, ...], folder: Path = FOLDER) -> NextStep:
    """Return what is first said after a rehearsal of a list, all of which was sent."""
    note = InputNote(name, "1f" * 32, ListForm(ListKind.CSV, columns), 0)
    run = summarize(run_at("http://127.0.0.1:4711/"), [note], TALLY, [None])
    whole = summary(sent=1)
    run = whole.model_copy(update={"is_rehearsal": True, "inputs": run.inputs, "parts": run.parts})
    return next_steps(run, folder, NextFlags(none_will_do=True, for_real=f"send {name}"))[0]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("reports/RUN/unsent.csv", ("order_id",)),
        ("reports/RUN/refused-RUN.csv", ("order_id",)),
        ("/tmp/Unsent (2).csv", ("order_id",)),
        ("my-rejected.csv", ("order_id",)),
        ("corrected.csv", ("order_id", "file", "line", "reason", "row")),
    ],
)
def test_a_part_that_a_report_wrote_is_never_all_there_is_to_send_for_real(
    name: str, columns: tuple[str, ...]
) -> None:
    step = told_for_real(name, columns)
    assert step.command is None
    assert step.text.startswith("To send for real, send the whole list without simulate")
    assert f"{name} is only a part of it" in step.text


@pytest.mark.parametrize("name", ["orders.csv", "unsentimental.csv", "lines.csv"])
def test_any_other_list_is_sent_for_real_as_it_was_rehearsed(name: str) -> None:
    step = told_for_real(name, ("order_id", "line", "file"))
    assert step.command == f"send {name}"


def test_a_list_that_is_a_pipe_by_now_is_not_waited_for(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "OTHER"
    report.mkdir(parents=True)
    with zipfile.ZipFile(report / "report.zip", "w") as packed:
        packed.writestr("unsent.csv", "order_id\n")
    os.mkfifo(pipe := tmp_path / "orders.csv")
    step = told_for_real(str(pipe), ("order_id",), tmp_path / "reports" / "RUN")
    assert step.command == f"send {pipe}"
