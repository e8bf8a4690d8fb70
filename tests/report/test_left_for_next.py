"""A sweep that leaves orders for the next one (--max-orders) says so wherever it is told of."""

from pathlib import Path

import pytest

from batch_resend.report import headline, sweep_in_words
from batch_resend.report.banner import Banner
from batch_resend.report.index import write_index
from batch_resend.report.page import UnderWay, make_live_page
from batch_resend.report.presentation import Presentation
from batch_resend.results import SweepCounts
from tests.report.summaries import FOLDER, run_at, summary


def found(due: int, left_for_later: int = 0, not_asked: int = 0) -> SweepCounts:
    """Return what a sweep has found."""
    return SweepCounts(
        waiting=due + left_for_later + not_asked, too_young=0, mailed_lately=0, stuck=0, excluded=0,
        nothing_to_mail=0, left_for_later=left_for_later, not_asked=not_asked, due=due, unusable=0,
        max_mails=5,
    )  # fmt: skip


SENT = "10 of 10 orders sent in 31m 02s"
UP_TO = "complete, up to --max-orders"
NOW = "Nothing now: every order of this sweep was sent; "


@pytest.mark.parametrize(
    ("counts", "says", "state", "to_do"),
    [
        pytest.param(
            found(10), (SENT, "10 orders wait: 10 due"),
            "complete", "Nothing: every order that was due was sent.", id="all",
        ),
        pytest.param(
            found(10, 1_021),
            (
                f"{SENT}; 1,021 left for the next sweep",
                "1,031 orders wait: 1,031 due (10 in this sweep, 1,021 left for the next sweep: "
                "--max-orders)",
            ),
            UP_TO, f"{NOW}1,021 left for the next sweep.", id="some",
        ),
        pytest.param(
            found(10, 0, 3),
            (
                f"{SENT}; 3 perhaps left for the next sweep",
                "13 orders wait: 10 due, 3 not asked about (--max-orders): left for the next sweep "
                "or with nothing to mail",
            ),
            UP_TO, f"{NOW}3 perhaps left for the next sweep.", id="perhaps some",
        ),
    ],
)  # fmt: skip
def test_what_is_left_is_in_headline_state_page_and_index(
    tmp_path: Path, counts: SweepCounts, says: tuple[str, str], state: str, to_do: str
) -> None:
    night = summary(sent=10, sweep=counts)
    assert night.verdict is Banner.COMPLETE
    assert (headline(night), sweep_in_words(counts)) == says
    course = UnderWay((), (), is_kept=False)
    page = make_live_page(run_at(night.base_url), night, FOLDER, Presentation(), course)
    assert f'<strong class="state">{state}</strong>' in page
    assert f"<h1>{says[0]}</h1>" in page
    assert f"<p>{to_do}</p>" in page
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "summary.json").write_text(night.model_dump_json())
    write_index(tmp_path)
    assert f'tone">{state}</span>' in (tmp_path / "index.html").read_text()
