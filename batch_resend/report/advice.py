"""What to do after a run: in words, with the commands that do it."""

import itertools
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from batch_resend.explanations import KEY_MAY_NOT, KEY_REFUSED
from batch_resend.report.by_another_call import (
    to_send_what_a_sweep_left,
    to_send_what_was_skipped,
)
from batch_resend.report.by_name import to_resume_by_name
from batch_resend.report.files import REFUSED, REJECTED, UNSENT, newest, parts_of, was_edited
from batch_resend.report.presentation import NO_FLAGS, NextFlags, NextStep
from batch_resend.report.summary import Summary, counted, in_words

_FIRST = {  # what has to be done before a run is resumed, by what stopped it
    KEY_REFUSED: "First put the API key right: correct its file, or name another one",
    KEY_MAY_NOT: "First give the API key a role that may do this, or use another key",
}

NO_KEY_NAMED = " --api-key-file key.txt"
URL_NOT_SHOWN = "URL"  # in the place of one that is not to be shown
_FOR_URL = f"for {URL_NOT_SHOWN}, write the one that you gave"
_PLACES = ("--journal", "--report-dir", "--metrics-file")  # which a rehearsal may have of its own
_ONLY_LEFT = ", but not what is in doubt (only within the cooldown)"
_IF_EDITED = " (you have edited this list: make sure that it still has these orders)"
_AFTER_A_REFUSAL = (
    "To send only these again, once the reason is fixed in this list, by the role of the key or by "
    "another --call"
)


def next_steps(
    summary: Summary,
    folder: Path | None,
    flags: NextFlags = NO_FLAGS,
) -> list[NextStep]:
    """Return what to do after a run, or while it is under way.

    `folder`: of its report; None: it is not written, so no step needs a file of it.
    """
    if flags.journal_is_lost:
        return []
    if summary.started_at is not None and summary.state == "completed":
        to_send = _to_send_the_rest(summary, folder, flags)
    elif summary.is_held_back:
        to_send = _to_send_the_good_rows(summary, flags)
    else:
        to_send = itertools.chain(_to_resume(summary, flags), _of_open_doubts(summary, flags))
    to_look_into: Iterable[NextStep] = ()
    if folder is not None and summary.state != "running":  # then the files are not there yet
        to_look_into = _to_look_into(summary, folder, flags)
    steps = (*to_send, *to_look_into)
    return [step for step in steps if not flags.none_will_do or _is_possible(step, flags)]


def _is_possible(step: NextStep, flags: NextFlags) -> bool:
    """Whether a step can be done after a rehearsal whose simulator has ended."""
    return step.command in (None, flags.for_real)


def if_cut_off(summary: Summary, flags: NextFlags) -> list[NextStep]:
    """Return what to do with a run under way whose page is no longer written."""
    text = "If this page is no longer updated, the run was cut off. To resume"
    return [] if flags.none_will_do else [to_resume(text, _resume(summary, flags))]


def _to_send_the_rest(
    summary: Summary, folder: Path | None, flags: NextFlags
) -> Iterator[NextStep]:
    orders = summary.orders
    if summary.is_rehearsal and orders.sent:
        yield _to_send_for_real(summary, flags, parts_of(summary, folder))
    if flags.none_will_do:
        yield from _of_a_real_run(summary)
        return
    now = summary.orders_now
    left, doubts = now.failed + now.not_attempted, now.in_doubt + now.in_doubt_elsewhere
    if of_others := _of_others(summary):
        yield NextStep(of_others)
    send, edited = _to_send_a_list(UNSENT, summary, folder, flags)
    if left and folder:
        # unsent.csv has what is in doubt as well: to mail that again is a step of its own.
        only, policy = (_ONLY_LEFT, " --in-doubt hold") if doubts else ("", flags.in_doubt)
        yield NextStep(f"To send what is left{only}{edited}:", f"{send}{policy}")
    if now.in_doubt:
        yield from _to_look_at_doubts(summary, now.in_doubt, flags)
    if doubts and folder:
        once_more = f"To mail once more what is in doubt{edited}:"
        yield NextStep(once_more, f"{send} --in-doubt retry")


def _to_send_a_list(
    name: str, summary: Summary, folder: Path | None, flags: NextFlags
) -> tuple[str, str]:
    """Return the command that sends a list of orders, and what to say if it was edited."""
    if folder is None:
        return "", ""
    place = newest(folder, name, summary.run_id)
    send = f"batch-resend{flags.config} send {shlex.quote(str(place))}{flags.send}"
    return send, _IF_EDITED if was_edited(place) else ""


def _to_look_at_doubts(summary: Summary, in_doubt: int, flags: NextFlags) -> Iterator[NextStep]:
    """Yield where to see what became of what is in doubt: for domains the CA cannot be asked."""
    orders, domains = _doubts(summary, in_doubt)
    is_held = summary.state == "completed" or "hold" in flags.in_doubt
    if orders:
        it, which = (
            ("it", "Whether it still waits") if orders == 1 else ("they", "Which still wait")
        )
        yield NextStep(
            f"{orders:,} in doubt{' for orders' * bool(domains)}: {it} may have been mailed"
            f"{_is_mailed_again(orders, is_held)}. {which} at the CA (that does not say whether a "
            "mail arrived):",
            f"batch-resend{flags.config} verify {summary.run_id}{flags.verify}",
        )
    if domains:
        it, what = ("it", "a domain") if domains == 1 else ("they", "domains")
        which = "whether it still waits" if domains == 1 else "which of them still wait"
        yield NextStep(
            f"{domains:,} in doubt for {what}: {it} may have been mailed"
            f"{_is_mailed_again(domains, is_held)}. `verify` cannot ask the CA about "
            f"{what}: see in CertCentral {which} (that does not say whether a mail arrived)."
        )


def _doubts(summary: Summary, in_doubt: int) -> tuple[int, int]:
    """Return how many of so many doubts are about orders, and how many about domains."""
    domains = min(summary.doubts_of_domains, in_doubt)
    return in_doubt - domains, domains


def _is_mailed_again(count: int, is_held: bool) -> str:
    return "" if is_held else f", and resuming mails {'it' if count == 1 else 'them'} again"


def _of_open_doubts(summary: Summary, flags: NextFlags) -> Iterator[NextStep]:
    """Yield what to do about doubts of a run that is not complete."""
    is_over = summary.state == "running" or flags.none_will_do
    if summary.orders_now.in_doubt and not is_over:
        yield from _to_look_at_doubts(summary, summary.orders_now.in_doubt, flags)


def _to_send_for_real(summary: Summary, flags: NextFlags, parts: Sequence[str]) -> NextStep:
    """Return how. `parts`: lists that a report wrote; what a rehearsal sent before, nobody has."""
    if parts:
        are, them = ("is only a part", "it") if len(parts) == 1 else ("are only parts", "them")
        return NextStep(
            "To send for real, send the whole list without simulate, and without a base-url. "
            f"{' and '.join(parts)} {are} of it, written by a report: send {them} for real only "
            "if that report is of a real run, which has sent the rest."
        )
    if not flags.for_real:
        what = "run the same sweep" if summary.sweep else "send the whole list"
        return NextStep(
            f"To send for real, {what} without simulate, and without a base-url: as an option, in "
            "the environment, or in the configuration file."
        )
    words, notes = shlex.split(flags.for_real), ["To send for real"]
    if NO_KEY_NAMED in flags.for_real:
        notes.append("key.txt is the file with your API key")
    if URL_NOT_SHOWN in words:
        notes.append(_FOR_URL)
    if places := [name for name in _PLACES if name in words]:
        only = (
            f"if {' and '.join(places)} {'is' if len(places) == 1 else 'are'} only for rehearsals"
        )
        notes.append(f"{only}, give your own")
    return NextStep(f"{'; '.join(notes)}:", flags.for_real)


def _of_a_real_run(summary: Summary) -> Iterator[NextStep]:
    """Yield what one would do if a rehearsal had been a run: here there is nothing more to send."""
    orders = summary.orders
    if left := orders.failed + orders.not_attempted:
        yield NextStep(
            f"{left:,} not sent: after a real run you would send its unsent.csv, by the command "
            "that stands here then."
        )
    if orders.in_doubt:
        of_orders, of_domains = _doubts(summary, orders.in_doubt)
        which = ["with `batch-resend verify` which of the orders still wait"] * bool(of_orders)
        which += ["in CertCentral which of the domains still wait"] * bool(of_domains)
        yield NextStep(
            f"{orders.in_doubt:,} in doubt: in a real run they may have been mailed. You would see "
            f"{', and '.join(which)}, and mail them once more by sending unsent.csv with "
            "--in-doubt retry, or leave them with --in-doubt hold."
        )


def _to_send_the_good_rows(summary: Summary, flags: NextFlags) -> Iterator[NextStep]:
    """Yield correcting the list first: what damaged those rows may have damaged more of it."""
    yield NextStep(
        "Is it the right list? Correct the rejected rows, delete those that are no orders, and "
        "send the list again; rejected.csv says why each was rejected."
    )
    good = summary.orders.not_attempted + summary.orders.in_doubt
    if summary.left is not None:
        good = summary.left
    if not good:
        return
    if flags.none_will_do:
        yield NextStep(
            "If the rejected rows are as expected: run it again with --max-rejected 100%, and "
            "without --strict."
        )
    what = counted(good, "order")
    yield to_resume(
        f"If the rejected rows are as expected, send the other {what} without them",
        _resume(summary, flags),
    )


def _to_resume(summary: Summary, flags: NextFlags) -> Iterator[NextStep]:
    elsewhere = _if_the_url_was_wrong(summary)
    of_others = _of_others(summary)
    if summary.state == "running":
        yield NextStep("To follow it on a terminal:", _watch(summary, flags))
    elif flags.none_will_do and summary.is_rehearsal:
        no_more = "cannot be resumed, because its simulator has ended: run it again."
        if summary.orders.sent:
            yield NextStep(f"This rehearsal {no_more}")
        else:  # there may have been no simulator
            yield from elsewhere
            yield NextStep(f"If this was a rehearsal, it {no_more}")
    elif of_others and not summary.left:
        yield NextStep(f"Nothing is left to send. {of_others}")
    else:
        if of_others:
            yield NextStep(of_others)
        yield from _to_resume_the_rest(summary, _resume(summary, flags), elsewhere)


def _of_others(summary: Summary) -> str:
    """Return what other runs have done with its orders, each of which is in one number."""
    now = summary.orders_now
    did = [f"sent {now.sent_elsewhere:,}"] * bool(now.sent_elsewhere)
    did += [f"left {now.in_doubt_elsewhere:,} in doubt"] * bool(now.in_doubt_elsewhere)
    if not did:
        return ""
    counts = [f"{count:,} {in_words(name)}" for name, count in now if count and name != "total"]
    left = ""
    if summary.rest and summary.left:
        has_doubts = not summary.rest.holds_doubts and now.in_doubt + now.in_doubt_elsewhere
        left = f" {summary.left:,} left{', those in doubt included' if has_doubts else ''}."
    of_its = f"Of its {counted(now.total, 'order')}, other runs have meanwhile {' and '.join(did)}"
    return f"{of_its}: {' · '.join(counts)}.{left}"


def _if_the_url_was_wrong(summary: Summary) -> Sequence[NextStep]:
    """Return what to do then. Its requests are for the CA that it was given: not another one's."""
    is_out_of_reach = 0 < summary.requests.attempts == summary.requests.unconnected
    may_have_sent = summary.orders.sent or summary.orders.in_doubt
    if may_have_sent or not (is_out_of_reach or summary.state == "stopped"):
        return ()
    return (
        NextStep(
            f"It has sent nothing at {' and '.join(summary.urls)}. If that is the wrong place, send"
            " its list again with the right URL or region, and leave this run: nothing needs it."
        ),
    )


def _to_resume_the_rest(
    summary: Summary, resume: str, elsewhere: Sequence[NextStep]
) -> Iterator[NextStep]:
    """Yield first what has to be fixed, as far as that is known."""
    reason = summary.stop_reason or ""
    if by_name := to_resume_by_name(summary.rest):
        yield to_resume(by_name, resume)
    elif first := next((first for why, first in _FIRST.items() if why in reason), None):
        yield to_resume(f"{first}. Then, to resume", resume)
        yield from elsewhere
    else:
        yield from elsewhere
        fixed = ", once anything else that stopped it is fixed" if elsewhere else ""
        yield to_resume(f"To resume{fixed}", resume)


def _watch(summary: Summary, flags: NextFlags) -> str:
    return f"batch-resend{flags.config} watch {summary.run_id}{flags.watch}"


def _resume(summary: Summary, flags: NextFlags) -> str:
    orders = summary.orders
    done = orders.total - orders.skipped - orders.not_attempted
    return resume_command(summary.run_id, done, flags, preflight_due=summary.preflight_due)


def to_resume(text: str, command: str) -> NextStep:
    """Return a step that resumes a run; the text is without its colon."""
    urls = f"; {_FOR_URL}" if URL_NOT_SHOWN in shlex.split(command) else ""
    return NextStep(f"{text}{urls}:", command)


def resume_command(run_id: str, done: int, flags: NextFlags, *, preflight_due: bool) -> str:
    """Return the command that resumes a run of which so many orders have been sent, or tried."""
    first = flags.first if done < int(flags.first.rpartition(" ")[2] or 0) else ""
    asks = " --preflight" if preflight_due else ""
    options = f"{first}{flags.resume}{asks}{flags.in_doubt}"
    return f"batch-resend{flags.config} resume {run_id}{options}"


def _to_look_into(summary: Summary, folder: Path, flags: NextFlags) -> Iterator[NextStep]:
    orders = summary.orders
    if summary.sweep and (stuck := summary.stuck):
        have, wait = ("has", "waits") if stuck == 1 else ("have", "wait")
        yield NextStep(
            f"{counted(stuck, 'order')} {have} reached the limit of "
            f"{counted(summary.sweep.max_mails, 'mail')} and still {wait}: no sweep will mail "
            f"{'it' if stuck == 1 else 'them'} again. {folder}/stuck.csv names "
            f"{'it' if stuck == 1 else 'them'}. Look into each by hand, `batch-resend help mail` "
            "says how; put what is hopeless into a list for --exclude."
        )
    if orders.refused:
        yield from _of_the_refused(summary, folder, flags)
    if summary.rows.rejected and summary.started_at is not None:
        yield from _to_correct(summary, folder, flags)
    if unsure := summary.skipped_unsure:
        yield NextStep(
            f"{counted(unsure, 'order')} skipped for a status, validation or product that is not "
            "known to be the CA's: if the column is about something else, send the list again with "
            "--ignore COLUMN."
        )
    if summary.skipped.other_call:
        yield from to_send_what_was_skipped(summary, folder, flags)
    if summary.sweep and summary.sweep.other_call:
        yield from to_send_what_a_sweep_left(summary, summary.sweep, flags)
    if orders.skipped:
        yield NextStep(
            f"{orders.skipped:,} skipped: {folder}/results.csv says why, order by order."
        )


def _of_the_refused(summary: Summary, folder: Path, flags: NextFlags) -> Iterator[NextStep]:
    by_whom = _refused(summary.orders.refused, summary.withheld)
    yield NextStep(f"{by_whom}: {folder}/results.csv says why, order by order.")
    if run_id := summary.lists_sent.get("refused"):
        yield NextStep(_sent_since(newest(folder, REFUSED, summary.run_id), run_id))
    # A run that is resumed, and the next sweep, try them again by themselves.
    elif summary.state == "completed" and not summary.sweep:
        send, edited = _to_send_a_list(REFUSED, summary, folder, flags)
        if summary.withheld and "--preflight" not in flags.send:
            send += " --preflight"  # without it, the CA might mail others for those
        yield NextStep(f"{_AFTER_A_REFUSAL}{edited}:", f"{send}{flags.in_doubt}")


def _sent_since(file: Path, run_id: str) -> str:
    """Return that a list of this report was sent; what is left of it, another report says."""
    return f"Run {run_id} has sent {file.name} since: see its report for what is left of that."


def _refused(count: int, withheld: int) -> str:
    """Return how many orders were refused, and by whom."""
    if not withheld:
        return f"{count:,} refused by the CA"
    why = "not sent, because the CA might have mailed others for"
    if withheld == count:
        return f"{count:,} refused and {why} {'it' if count == 1 else 'them'}"
    it = "it" if withheld == 1 else "them"
    return f"{count:,} refused ({count - withheld:,} by the CA; {withheld:,} {why} {it})"


def _to_correct(summary: Summary, folder: Path, flags: NextFlags) -> Iterator[NextStep]:
    file, lack = newest(folder, REJECTED, summary.run_id), ""
    if incomplete := summary.incomplete:
        have, its = ("is", "its") if incomplete == 1 else ("are", "their")
        lack = f" {counted(incomplete, 'order')} {have} sent without some of {its} rows."
    rejected = f"{counted(summary.rows.rejected, 'rejected row')}: {file} says why.{lack}"
    if run_id := summary.lists_sent.get("rejected"):
        yield NextStep(f"{rejected} {_sent_since(file, run_id)}")
        return
    yield NextStep(
        f"{rejected} Correct its rows there; if a row is no order (a total, a note), delete it."
    )
    send = f"batch-resend{flags.config} send {shlex.quote(str(file))}{flags.send}"
    yield NextStep(
        f"Then send that file{_with_what_was_wrong(summary)}:", f"{send}{flags.in_doubt}"
    )


def _with_what_was_wrong(summary: Summary) -> str:
    """Return what to change in the command for another list, if that is known: ", with ..."."""
    reason = summary.stop_reason or ""
    if KEY_REFUSED in reason or KEY_MAY_NOT in reason:
        return ", with a key that may do this"
    return ", with the right URL or region" if _if_the_url_was_wrong(summary) else ""
