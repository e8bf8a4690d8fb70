"""An order's budget: which verdicts are worth another attempt, how many, how soon, for how long."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_resend.model import RunState, Verdict
from batch_resend.sending import RetryPolicy
from batch_resend.sending.retry import Step
from tests.sending.conftest import HOUR_S, LONG_S, Rig
from tests.sending.scripted import planned, verdict

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime(start=1000, idle_step=1, idle_timeout=9)]


@dataclass
class Script:
    """Attempts that end as told; the last word stays. Remembers when each was made."""

    words: str
    takes_s: float = 0.0
    at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start = anyio.current_time()

    async def attempt(self) -> Step:
        self.at.append(anyio.current_time() - self.start)
        await anyio.sleep(self.takes_s)
        words = self.words.split()
        return Step(verdict(words[min(len(self.at), len(words)) - 1]), nth=len(self.at))

    async def carry(self, policy: RetryPolicy) -> Verdict:
        """Make the first attempt, and those the policy wants."""
        began = anyio.current_time()
        first = await self.attempt()
        return await policy.carry_on(self.attempt, lambda: anyio.current_time() - began, first)


def policy(
    max_attempts: int = 6, max_elapsed_s: float = LONG_S, *, retry_in_doubt: bool = True
) -> RetryPolicy:
    return RetryPolicy(max_attempts, max_elapsed_s, retry_in_doubt)


@pytest.fixture
def jitter(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[tuple[float, float]]]:
    """Draw this share of each span from now on; return the spans asked for."""

    def draw(share: float) -> list[tuple[float, float]]:
        spans: list[tuple[float, float]] = []

        def uniform(low: float, high: float) -> float:
            spans.append((low, high))
            return low + (high - low) * share

        monkeypatch.setattr("random.uniform", uniform)
        return spans

    return draw


Jitter = Callable[[float], list[tuple[float, float]]]


@pytest.mark.parametrize(
    ("word", "when_retrying", "when_holding"),
    [
        pytest.param("204", False, False, id="accepted: done"),
        pytest.param("404", False, False, id="refused: done"),
        pytest.param("401", False, False, id="hopeless: no attempt will change it"),
        pytest.param("503", True, True, id="unavailable: it may pass"),
        pytest.param("noconn", True, True, id="never sent: again, whatever is done with doubts"),
        pytest.param("timeout", True, False, id="in doubt: as the user says"),
        pytest.param("lost", True, False, id="lost: in doubt as well"),
    ],
)
async def test_which_verdicts_are_worth_another_attempt(
    word: str, when_retrying: bool, when_holding: bool
) -> None:
    for retry_in_doubt, wanted in ((True, when_retrying), (False, when_holding)):
        bound = policy(3, retry_in_doubt=retry_in_doubt)
        assert bound.wants_another(verdict(word)) is wanted
        script = Script(word)
        await script.carry(bound)
        assert len(script.at) == (3 if wanted else 1)


async def test_waits_are_drawn_from_zero_to_a_span_that_doubles_up_to_a_minute(
    jitter: Jitter,
) -> None:
    spans = jitter(1.0)
    script = Script("503")
    await script.carry(policy(9))
    assert spans[:8] == [(0, span) for span in (1, 2, 4, 8, 16, 32, 60, 60)]
    waits = [later - sooner for sooner, later in zip(script.at, script.at[1:], strict=False)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_wait_may_be_as_short_as_nothing(jitter: Jitter) -> None:
    jitter(0.0)
    script = Script("503")
    await script.carry(policy(9))
    assert script.at == [0.0] * 9


async def test_orders_that_fail_together_come_back_apart() -> None:
    scripts = [Script("503") for _ in range(50)]
    async with anyio.create_task_group() as tasks:
        for script in scripts:
            tasks.start_soon(script.carry, policy(5))
    assert len({script.at[-1] for script in scripts}) > 25


@pytest.mark.parametrize(
    ("words", "share", "waits"),
    [
        pytest.param("503/30 204", 0.5, [30], id="a time the CA names is waited for"),
        pytest.param("503/30 503 204", 0.5, [30, 1], id="it holds for that one wait"),
        pytest.param("503/300 204", 0.5, [300], id="also beyond the longest span"),
        pytest.param("503/1 503/1 503/1 204", 1.0, [1, 2, 4], id="backing off longer is allowed"),
        pytest.param("503/0 204", 1.0, [1], id="no time at all is no reason to hurry"),
    ],
)
async def test_retry_after_is_the_least_that_is_waited(
    jitter: Jitter, words: str, share: float, waits: list[float]
) -> None:
    jitter(share)
    script = Script(words)
    assert await script.carry(policy()) == verdict("204")
    assert [b - a for a, b in zip(script.at, script.at[1:], strict=False)] == waits


@pytest.mark.parametrize(
    ("max_elapsed_s", "words", "takes_s", "at"),
    [
        pytest.param(4, "503", 0, [0, 1, 3], id="a wait beyond the bound is not begun"),
        pytest.param(3, "503", 0, [0, 1], id="nor one that ends just at it"),
        pytest.param(10, "503", 2, [0, 3, 7], id="the time attempts take counts"),
        pytest.param(1, "503", 5, [0], id="a first attempt that took too long was the last"),
        pytest.param(60, "503/90", 0, [0], id="Retry-After beyond the bound ends it at once"),
        pytest.param(120, "503/90", 0, [0, 90], id="Retry-After within it does not"),
    ],
)
async def test_time_is_bounded(
    jitter: Jitter, max_elapsed_s: float, words: str, takes_s: float, at: list[float]
) -> None:
    jitter(1.0)
    script = Script(words, takes_s)
    assert await script.carry(policy(99, max_elapsed_s)) == verdict(words)
    assert script.at == at


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["503", "503/3", "timeout", "noconn"]), min_size=1, max_size=12),
    st.integers(1, 12),
    st.integers(1, 400),
    st.integers(0, 30),
)
async def test_no_budget_is_ever_exceeded(
    words: list[str], max_attempts: int, max_elapsed_s: int, takes_s: int
) -> None:
    script = Script(" ".join(words), takes_s)
    await script.carry(policy(max_attempts, max_elapsed_s))
    assert len(script.at) <= max_attempts
    assert all(at < max_elapsed_s for at in script.at)


class Bug(Exception):
    """An error in the program itself."""


@pytest.mark.parametrize(
    "error", [Bug(), KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError(), TimeoutError()]
)
async def test_an_exception_is_passed_on_and_nothing_is_tried_again(error: BaseException) -> None:
    made = 0

    async def attempt() -> Step:
        nonlocal made
        made += 1
        raise error

    with pytest.raises(type(error)):
        await policy().carry_on(attempt, lambda: 0.0, Step(verdict("503"), nth=1))
    assert made == 1


# --- the same through the whole sender ----------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "status", "attempts"),
    [
        pytest.param("204", "sent", 1, id="acknowledged at once"),
        pytest.param("200", "sent", 1, id="any 2xx is an acknowledgement"),
        pytest.param("503 503 204", "sent", 3, id="acknowledged after errors"),
        pytest.param("noconn noconn 204", "sent", 3, id="acknowledged once it could be reached"),
        pytest.param("timeout 204", "sent", 2, id="in doubt, then acknowledged"),
        pytest.param("429 429 204", "sent", 3, id="too many requests, then acknowledged"),
        pytest.param("400", "refused", 1, id="refused"),
        pytest.param("403", "refused", 1, id="denied, for this order"),
        pytest.param("503 404", "refused", 2, id="refused after an error"),
        pytest.param("timeout 404", "refused", 2, id="a refusal settles a doubt"),
        # Four attempts of its own, then some minutes for the CA's account, then the last two.
        pytest.param("503", "failed", 15, id="an error to the end"),
        pytest.param("noconn", "failed", 15, id="never reached"),
        pytest.param("500/7200 204", "failed", 1, id="told to come back after its time"),
        pytest.param("timeout", "in_doubt", 6, id="no answer to the end"),
        pytest.param("lost", "in_doubt", 6, id="broken off to the end"),
        pytest.param("503 garbled 503", "in_doubt", 15, id="one doubt among errors is a doubt"),
        pytest.param("503 503 503 503 503 lost", "in_doubt", 7, id="a doubt in the last attempt"),
    ],
)
async def test_what_becomes_of_an_order(answers: str, status: str, attempts: int) -> None:
    rig = Rig({1: answers}, max_elapsed_s=HOUR_S)
    await rig.carry([planned(1)])
    assert rig.statuses() == {1: status}
    assert rig.ca.asked == {1: attempts}
    assert (rig.sender.state, rig.sender.stop_reason) == (RunState.COMPLETED, None)


async def test_a_refusal_after_an_attempt_without_an_answer_says_that_it_may_have_been_mailed() -> (
    None
):
    rig = Rig({1: "timeout 404", 2: "503 404"})
    heard = {
        outcome.planned.number: outcome for outcome in await rig.carry([planned(1), planned(2)])
    }
    assert heard[1].error_message == (
        "scripted: 404 (an earlier attempt had no answer: it may have been mailed)"
    )
    assert heard[2].error_message == "scripted: 404"


@pytest.mark.parametrize(
    ("answers", "max_attempts", "status", "attempts"),
    [
        pytest.param("503 204", 1, "failed", 1, id="a budget of one"),
        pytest.param("timeout 204", 1, "in_doubt", 1, id="a budget of one, no answer"),
        pytest.param("429 " * 50 + "204", 1, "sent", 51, id="429 costs nothing of it"),
        pytest.param("429 503 429 429 204", 2, "sent", 5, id="429 costs nothing in between"),
        pytest.param("503 429/1 503 204", 2, "sent", 4, id="nor does trouble while all wait"),
    ],
)
async def test_the_budget_of_an_order(
    answers: str, max_attempts: int, status: str, attempts: int
) -> None:
    rig = Rig({1: answers}, max_attempts=max_attempts)
    await rig.carry([planned(1)])
    assert rig.statuses() == {1: status}
    assert rig.ca.asked == {1: attempts}
    assert rig.progress.rate_limited == answers.split()[:attempts].count("429") + answers.count("/")


@pytest.mark.parametrize(
    ("answers", "status", "attempts"),
    [
        pytest.param("timeout 204", "in_doubt", 1, id="the first doubt is left for a person"),
        pytest.param("lost 204", "in_doubt", 1, id="a broken connection is a doubt"),
        pytest.param("503 noconn garbled 204", "in_doubt", 3, id="also after errors"),
        pytest.param("noconn 503 204", "sent", 3, id="what surely was not done is tried again"),
    ],
)
async def test_doubts_that_are_to_be_held(answers: str, status: str, attempts: int) -> None:
    rig = Rig({1: answers}, retry_in_doubt=False)
    await rig.carry([planned(1)])
    assert rig.statuses() == {1: status}
    assert rig.ca.asked == {1: attempts}


async def test_a_probe_without_an_answer_is_held_as_well() -> None:
    rig = Rig({1: "429 timeout"}, retry_in_doubt=False)
    await rig.carry([planned(1), planned(2)])
    assert rig.statuses() == {1: "in_doubt", 2: "sent"}


async def test_attempts_and_doubts_of_an_earlier_start_are_remembered() -> None:
    rig = Rig({1: "503", 2: "204"}, max_attempts=2)
    await rig.carry([planned(1, attempts=3, doubts=1), planned(2, attempts=1)])
    assert rig.statuses() == {1: "in_doubt", 2: "sent"}
    numbers = [(line.order, line.attempt) for line in rig.noted("begin")]
    assert sorted(numbers) == [(1, 4), (1, 5), (2, 2)]


async def test_a_doubt_of_before_is_not_taken_back_by_another_one() -> None:
    rig = Rig({1: "timeout 503"}, max_attempts=2)
    await rig.carry([planned(1, attempts=1, doubts=1)])
    assert rig.statuses() == {1: "in_doubt"}


@pytest.mark.parametrize(
    ("answers", "doubts", "possible"),
    [
        pytest.param("204", 0, 0, id="one mail"),
        pytest.param("503 204", 0, 0, id="an error mailed nothing"),
        pytest.param("timeout 404", 0, 0, id="a refusal mails nothing"),
        pytest.param("timeout 204", 0, 1, id="one without an answer, then a mail"),
        pytest.param("timeout lost 503 204", 0, 2, id="two without an answer, then a mail"),
        pytest.param("204", 1, 1, id="a doubt of an earlier start"),
    ],
)
async def test_each_mail_beyond_the_first_that_may_have_gone_out_is_counted(
    answers: str, doubts: int, possible: int
) -> None:
    rig = Rig({1: answers})
    await rig.carry([planned(1, attempts=doubts, doubts=doubts)])
    assert rig.progress.possible_duplicates == possible


async def test_answers_that_settle_nothing_are_counted_by_status_and_as_0_where_none_came() -> None:
    rig = Rig({1: "503 timeout 503 204"})
    await rig.carry([planned(1)])
    assert rig.progress.unsettled == {503: 2, 0: 1}


async def test_the_time_of_a_pause_is_not_an_order_s_own() -> None:
    rig = Rig({1: "429/600 503 204"}, max_elapsed_s=120)
    await rig.carry([planned(1)])
    assert rig.statuses() == {1: "sent"}


async def test_a_stop_while_an_order_is_given_up_leaves_it_given_up() -> None:
    rig = Rig({1: "503"}, max_attempts=1, commit_s=1)
    await rig.stop_at(2.5, [planned(1)])  # begun by 1, ended by 2, given up by 3
    assert rig.statuses() == {1: "failed"}


async def test_an_outcome_says_what_the_last_answer_said() -> None:
    rig = Rig({1: "503 404"})
    (outcome,) = await rig.carry([planned(1)])
    said = (outcome.http_status, outcome.error_code, outcome.error_message)
    assert said == (404, "not_found|order", "scripted: 404")
