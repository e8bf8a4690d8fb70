"""What came of a run is told in one sentence, and with it what to do next."""

from pathlib import Path

import pytest

from batch_resend.explanations import KEY_MAY_NOT, KEY_REFUSED
from batch_resend.model import RequestStatus
from batch_resend.report import NextFlags, Summary, headline, next_steps
from batch_resend.results import Rest, RestCount, Since
from tests.report.summaries import FOLDER, summary


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (
            summary(sent=9941, refused=42, in_doubt=17),
            "9,941 of 10,000 orders sent in 31m 02s; 42 refused, 17 in doubt",
        ),
        (
            summary(sent=365, refused=11, skipped=14),
            "365 of 376 orders sent in 31m 02s; 11 refused, 14 skipped",
        ),
        (
            summary(sent=510, skipped=386, skips={"preflight": 221, "other_call": 165}),
            "510 of 675 orders sent in 31m 02s; 386 skipped (165 of them perhaps waiting for mails "
            "of another call)",
        ),
        (
            summary(skipped=5, skips={"other_call": 5}, elapsed_s=None),
            "0 of 5 orders sent; 5 skipped (all of them perhaps waiting for mails of another call)",
        ),
        (
            summary(skipped=1, skips={"other_call": 1}, elapsed_s=None),
            "0 of 1 orders sent; 1 skipped (perhaps waiting for mails of another call)",
        ),
        (summary(sent=3, elapsed_s=None), "3 of 3 orders sent"),
        (
            summary(sent=3, between_starts_s=1800.0),
            "3 of 3 orders sent in 1m 02s, interrupted for 30m 00s",
        ),
        (summary(sent=3, between_starts_s=0.3), "3 of 3 orders sent in 31m 02s"),
        (summary(sent=3, rejected=1), "3 of 3 orders sent in 31m 02s; 1 row rejected"),
        (
            summary(skipped=2, rejected=2),
            "Nothing was due; 2 skipped, 2 rows rejected",
        ),
        (summary(rejected=2), "There was nothing to send; 2 rows rejected"),
        (
            summary(state="stopped", sent=1, not_attempted=8, failed=1),
            "Stopped early: 1 of 10 orders sent in 31m 02s; 1 failed, 8 not attempted",
        ),
        (
            summary(state="interrupted", finished_at=None, elapsed_s=None, sent=1, not_attempted=1),
            "Not finished: 1 of 2 orders sent; 1 not attempted",
        ),
        (
            summary(sent=3).model_copy(update={"is_rehearsal": True}),
            "Rehearsal, nobody was mailed: 3 of 3 orders sent in 31m 02s",
        ),
        (
            summary(state="interrupted", sent=1, not_attempted=1),
            "Interrupted: 1 of 2 orders sent in 31m 02s; 1 not attempted",
        ),
        (
            summary(
                state="stopped", started_at=None, stop_reason="--strict: 1 row", not_attempted=1
            ),
            "Nothing was sent: --strict: 1 row",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_headline_says_how_many_were_sent_and_what_became_of_the_others(
    run: Summary, sentence: str
) -> None:
    assert headline(run) == sentence


SEND = "batch-resend send reports/RUN/unsent.csv --region eu"
SEND_REFUSED = "batch-resend send reports/RUN/refused.csv --region eu"


@pytest.mark.parametrize(
    ("run", "commands"),
    [
        pytest.param(summary(sent=3), [], id="all was sent: nothing"),
        pytest.param(summary(sent=3, failed=1), [SEND], id="some failed: send what is left"),
        pytest.param(
            summary(in_doubt=1),
            ["batch-resend verify RUN --api-key-file k", f"{SEND} --in-doubt retry"],
            id="in doubt: ask about them, then mail them once more",
        ),
        pytest.param(
            summary(state="stopped", sent=1, not_attempted=4),
            ["batch-resend resume RUN --region eu"],
            id="stopped: resume",
        ),
        pytest.param(
            summary(state="interrupted", in_doubt=4),
            ["batch-resend resume RUN --region eu", "batch-resend verify RUN --api-key-file k"],
            id="interrupted, with doubts: resume decides of them too",
        ),
        pytest.param(
            summary(state="interrupted", not_attempted=4, elapsed_s=None, finished_at=None),
            ["batch-resend resume RUN --region eu"],
            id="cut off",
        ),
        pytest.param(
            summary(state="running", not_attempted=4, elapsed_s=None, finished_at=None),
            ["batch-resend watch RUN --journal j.db"],
            id="under way",
        ),
        pytest.param(
            summary(refused=1), [SEND_REFUSED], id="refused: once the reason is fixed, only those"
        ),
        pytest.param(
            summary(state="stopped", sent=1, refused=1, not_attempted=4),
            ["batch-resend resume RUN --region eu"],
            id="stopped, some refused: the end of the run says what to do about them",
        ),
        pytest.param(
            summary(rejected=1),
            ["batch-resend send reports/RUN/rejected.csv --region eu"],
            id="rejected: the file is sent, once it is corrected",
        ),
        pytest.param(summary(skipped=1), [], id="skipped: nothing needs doing"),
        pytest.param(
            summary(sent=1, skipped=2, skips={"other_call": 2}),
            [
                "batch-resend export --skipped-by RUN --api-key-file k --out domains-RUN.csv",
                "batch-resend send domains-RUN.csv --call domain-dcv --api-key-file k",
            ],
            id="of another call: the domains of these alone",
        ),
    ],
)
def test_the_next_command_is_the_one_that_is_left_to_do(run: Summary, commands: list[str]) -> None:
    flags = NextFlags(
        " --region eu", " --region eu", watch=" --journal j.db", verify=" --api-key-file k"
    )
    steps = next_steps(run, FOLDER, flags)
    assert [step.command for step in steps if step.command] == commands


@pytest.mark.parametrize(
    ("reason", "sent", "said"),
    [
        (KEY_REFUSED, 0, "Then send that file, with a key that may do this:"),
        (KEY_MAY_NOT, 3, "Then send that file, with a key that may do this:"),
        ("the base URL is wrong", 0, "Then send that file, with the right URL or region:"),
        ("the CA is out of reach", 3, "Then send that file:"),
    ],
)
def test_the_command_for_rejected_rows_says_what_of_it_was_refused(
    reason: str, sent: int, said: str
) -> None:
    run = summary(state="stopped", stop_reason=reason, sent=sent, not_attempted=2, rejected=1)
    assert said in [step.text for step in next_steps(run, FOLDER)]


@pytest.mark.parametrize(
    ("refused", "withheld", "said"),
    [
        (4, 0, "4 refused by the CA: "),
        (
            4,
            1,
            "4 refused (3 by the CA; 1 not sent, because the CA might have mailed others for it): ",
        ),
        (1, 1, "1 refused and not sent, because the CA might have mailed others for it: "),
        (2, 2, "2 refused and not sent, because the CA might have mailed others for them: "),
    ],
)
def test_only_what_the_ca_refused_is_said_to_be_refused_by_it(
    refused: int, withheld: int, said: str
) -> None:
    run = summary(refused=refused).model_copy(update={"withheld": withheld})
    step, again = next_steps(run, FOLDER)
    assert step.text.startswith(said)
    assert again.command is not None
    assert again.command.endswith(" --preflight") is bool(withheld), "never wider than asked"


def test_whatever_is_not_well_has_a_step_that_counts_it() -> None:
    told = "\n".join(
        step.text for step in next_steps(summary(refused=5, skipped=7, rejected=3), FOLDER)
    )
    assert "5 refused" in told
    assert "7 skipped" in told
    assert "3 rejected rows" in told


def test_where_nothing_was_sent_the_url_may_have_been_wrong_and_then_resume_is_no_help() -> None:
    told = next_steps(summary(state="stopped", not_attempted=2), FOLDER)
    assert any("send its list again" in step.text for step in told)
    told = next_steps(summary(state="stopped", sent=1, not_attempted=2), FOLDER)
    assert not any("send its list again" in step.text for step in told)


@pytest.mark.parametrize(
    ("reason", "first"),
    [
        (
            f"{KEY_REFUSED} (HTTP 403, ...). Check that",
            "First put the API key right: correct its file, ",
        ),
        (
            f"account shop: {KEY_REFUSED} (HTTP 401)",
            "First put the API key right: correct its file, ",
        ),
        (f"{KEY_MAY_NOT} (HTTP 403, ...)", "First give the API key a role that may do this, or "),
        ("--max-orders reached; 2 not attempted", "To "),
        ("the CA has been down for 1h 00m", "To "),
    ],
)
def test_what_has_to_be_done_before_a_run_is_resumed_is_said_first(reason: str, first: str) -> None:
    for sent in (0, 3):
        run = summary(state="stopped", sent=sent, not_attempted=2, stop_reason=reason)
        step = next(s for s in next_steps(run, FOLDER) if s.command)
        assert step.text.startswith(first)
        assert "resume" in step.text
        assert step.command == "batch-resend resume RUN"


@pytest.mark.parametrize(("elapsed_s", "said"), [(0.2, "sent"), (0.6, "sent in 1s")])
def test_a_run_of_no_time_is_not_said_to_have_taken_0s(elapsed_s: float, said: str) -> None:
    run = summary(sent=1).model_copy(update={"elapsed_s": elapsed_s})
    assert headline(run).endswith(said)


def test_of_a_run_under_way_no_file_is_named_that_is_not_there_yet() -> None:
    run = summary(state="running", sent=1, refused=2, skipped=1, rejected=1, not_attempted=3)
    assert not [step for step in next_steps(run, FOLDER) if ".csv" in step.text]
    assert "results.csv" in "".join(step.text for step in next_steps(summary(refused=2), FOLDER))


def test_a_folder_with_a_blank_is_quoted_in_the_command() -> None:
    (step,) = next_steps(summary(failed=1), Path("last night"))
    assert step.command == "batch-resend send 'last night/unsent.csv'"


def test_what_is_in_doubt_is_mailed_again_only_by_the_step_that_says_so() -> None:
    flags = NextFlags(" --map order_id=N", " --limit 4/1s", " --in-doubt hold")
    left, asked, again = next_steps(summary(failed=1, in_doubt=1), FOLDER)[:3]
    assert "does not say whether a mail arrived" in asked.text
    assert (left.command or "").endswith("unsent.csv --in-doubt hold")
    assert (again.command or "").endswith("unsent.csv --in-doubt retry")
    go_on, asked = next_steps(summary(state="interrupted", in_doubt=2), FOLDER, flags)
    assert go_on.command == "batch-resend resume RUN --limit 4/1s --in-doubt hold"
    assert "mails them again" not in asked.text
    _, asked = next_steps(summary(state="interrupted", in_doubt=2), FOLDER)
    assert "2 in doubt: they may have been mailed, and resuming mails them again." in asked.text


@pytest.mark.parametrize(
    ("in_doubt", "domains", "counted"),
    [(3, 0, ["3 in doubt: they"]), (1, 1, ["1 in doubt for a domain: it"]),
     (5, 3, ["2 in doubt for orders: they", "3 in doubt for domains: they"])],
)  # fmt: skip
@pytest.mark.parametrize("state", ["completed", "interrupted"])
def test_only_about_orders_the_ca_is_to_be_asked_what_became_of_a_doubt(
    in_doubt: int, domains: int, counted: list[str], state: str
) -> None:
    run = summary(state=state, in_doubt=in_doubt).model_copy(update={"doubts_of_domains": domains})
    steps = [step for step in next_steps(run, FOLDER) if " in doubt" in step.text[:20]]
    for step, words in zip(steps, counted, strict=True):
        assert step.text.startswith(f"{words} may have been mailed")
        is_of_domains = "for " in words and "domain" in words
        assert ("in CertCentral" in step.text) is is_of_domains
        assert step.command == (None if is_of_domains else "batch-resend verify RUN")
    ended = run.model_copy(update={"state": "completed", "is_rehearsal": True})
    (told,) = next_steps(ended, FOLDER, NextFlags(none_will_do=True))
    found = ("`batch-resend verify`" in told.text, "in CertCentral" in told.text)
    assert found == (in_doubt > domains, domains > 0)


def of_others(
    *counts: tuple[RequestStatus, Since, int], holds_doubts: bool = False
) -> dict[str, Rest]:
    """Return the change of a summary that says what other runs have done, by how it counts it."""
    found = [RestCount(None, status, since, True, count) for status, since, count in counts]
    return {"rest": Rest(found, holds_doubts)}


FAILED, IN_DOUBT, NOT_ATTEMPTED = map(RequestStatus, ("failed", "in_doubt", "not_attempted"))


def test_what_other_runs_have_sent_since_is_not_to_be_mailed_again() -> None:
    run = summary(sent=1, failed=1, in_doubt=3)
    failed = (FAILED, Since.SENT_ELSEWHERE, 1)
    changed = of_others(failed, (IN_DOUBT, Since.SENT_ELSEWHERE, 1))
    told, asked, again = next_steps(run.model_copy(update=changed), FOLDER)
    assert told.text.startswith("Of its 5 orders, other runs have meanwhile sent 2: 1 sent · ")
    assert asked.text.startswith("2 in doubt: ")
    assert again.command == "batch-resend send reports/RUN/unsent.csv --in-doubt retry"
    changed = of_others(failed, (IN_DOUBT, Since.SENT_ELSEWHERE, 3))
    (told,) = next_steps(run.model_copy(update=changed), FOLDER)
    assert told.text.endswith("other runs have meanwhile sent 4: 1 sent · 4 sent by other runs.")


@pytest.mark.parametrize(
    ("holds_doubts", "left"), [(True, "31 left."), (False, "39 left, those in doubt included.")]
)
def test_each_order_is_in_one_number_of_what_is_said_of_other_runs(
    holds_doubts: bool, left: str
) -> None:
    run = summary(state="interrupted", sent=20, refused=8, in_doubt=2, not_attempted=95)
    counts = (
        (NOT_ATTEMPTED, Since.SENT_ELSEWHERE, 58),
        (NOT_ATTEMPTED, Since.IN_DOUBT_ELSEWHERE, 6),
        (NOT_ATTEMPTED, Since.NOTHING, 31),
        (IN_DOUBT, Since.IN_DOUBT, 2),
    )
    run = run.model_copy(update=of_others(*counts, holds_doubts=holds_doubts))
    told, _, asked, *_ = next_steps(run, None)
    assert told.text == (
        "Of its 125 orders, other runs have meanwhile sent 58 and left 6 in doubt: 20 sent · "
        "8 refused · 2 in doubt · 31 not attempted · 58 sent by other runs · 6 in doubt by other "
        f"runs. {left}"
    )
    assert asked.text.startswith("2 in doubt: ")
    assert asked.command == "batch-resend verify RUN"


def test_what_other_runs_left_in_doubt_is_mailed_again_only_by_the_step_that_says_so() -> None:
    run = summary(sent=1, failed=2).model_copy(
        update=of_others((FAILED, Since.IN_DOUBT_ELSEWHERE, 1))
    )
    told, rest, again = next_steps(run, FOLDER)
    assert told.text.endswith("left 1 in doubt: 1 sent · 1 failed · 1 in doubt by other runs.")
    assert rest.command == "batch-resend send reports/RUN/unsent.csv --in-doubt hold"
    assert again.command == "batch-resend send reports/RUN/unsent.csv --in-doubt retry"


def test_what_other_runs_have_sent_needs_no_action_once_it_is_all_that_was_left() -> None:
    cut_off = summary(state="interrupted", sent=3, in_doubt=1, not_attempted=7)
    failed = summary(sent=3, failed=8)
    for run, orders, verdict in (
        (cut_off, 0, "needs action"),
        (cut_off, 7, "needs action"),
        (cut_off, 8, "complete"),
        (summary(state="interrupted", refused=1, not_attempted=8), 8, "needs action"),
        (summary(state="interrupted", rejected=1, not_attempted=8), 8, "needs action"),
    ):
        waiting = min(orders, run.orders.not_attempted)
        changed = of_others(
            (NOT_ATTEMPTED, Since.SENT_ELSEWHERE, waiting),
            (IN_DOUBT, Since.SENT_ELSEWHERE, orders - waiting),
        )
        found = run.model_copy(update=changed)
        assert (found.verdict, found.sent_elsewhere) == (verdict, orders)
        assert not found.all_well, "it has not sent them itself"
        which = "all" if orders == 8 else orders
        since = f" not attempted ({which} of these sent by other runs since)"
        assert (since in headline(found)) is (orders > 0)
    for orders, verdict in ((7, "needs action"), (8, "complete")):
        changed = of_others((FAILED, Since.SENT_ELSEWHERE, orders))
        found = failed.model_copy(update=changed)
        assert found.verdict == verdict


def test_to_resume_with_a_url_that_is_not_shown_says_which_to_write() -> None:
    flags = NextFlags(resume=" --metrics-file m.prom --ping-url URL")
    (step,) = next_steps(summary(state="interrupted", not_attempted=1), FOLDER, flags)
    assert step.text == "To resume; for URL, write the one that you gave:"
    assert step.command == "batch-resend resume RUN --metrics-file m.prom --ping-url URL"


@pytest.mark.parametrize(
    ("good", "flags", "commands", "said"),
    [
        pytest.param(
            3, NextFlags(resume=" --region eu"), [None, "batch-resend resume RUN --region eu"],
            "send the other 3 orders", id="good rows",
        ),
        pytest.param(0, NextFlags(), [None], "Correct the rejected rows", id="no good row"),
        pytest.param(
            3, NextFlags(none_will_do=True), [None, None], "--max-rejected 100%",
            id="a rehearsal: there is nothing to resume",
        ),
    ],
)  # fmt: skip
def test_of_a_run_held_back_the_list_comes_first_and_then_what_sends_its_good_rows(
    good: int, flags: NextFlags, commands: list[str | None], said: str
) -> None:
    """What damaged some rows may have damaged others, so that correcting it comes first."""
    held = summary(state="stopped", started_at=None, rejected=2, not_attempted=good)
    steps = next_steps(held, FOLDER, flags)
    assert [step.command for step in steps] == commands
    assert steps[0].text.startswith("Is it the right list? Correct the rejected rows")
    assert said in steps[-1].text


def test_a_run_that_ended_before_it_sent_anything_is_resumed_whatever_its_rows_were() -> None:
    """As when the CA was being asked about its orders: nobody held it back for its rows."""
    run = summary(state="interrupted", started_at=None, elapsed_s=None, not_attempted=2, rejected=1)
    (step,) = next_steps(run, FOLDER)
    assert step.command == "batch-resend resume RUN"
