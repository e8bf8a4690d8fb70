"""The pictures of README and manual, made from a real run: `make pictures`.

A rehearsal with trouble in it runs in a real terminal (tmux); what it shows goes into the
pages as text, and its report's page, as a real browser shows it, into samples/report.png.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from playwright.sync_api import sync_playwright

from tests.pages import ROOT, replace_block

PICTURE = ROOT / "samples" / "report.png"
PROGRAM = f"{sys.executable} -m batch_resend"
REHEARSAL = (
    f"{PROGRAM} simulate --latency 10-300ms --limit 70/1s --limit 400/5s "
    f"--fail 503=1% --fail drop=1% --unknown 100005 --unknown 100044 -- "
    f"{PROGRAM} send --limit 100/1s --limit 400/5s --in-doubt hold orders.csv"
)
COLUMNS, LINES = 80, 40
ORDERS = 1_500


class Tmux:
    """A terminal of its own, without anybody's settings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *words: str) -> str:
        """Run a tmux command; return what it prints."""
        command = ["tmux", "-L", "batch-resend-pictures", "-f", "/dev/null", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def open(self, command: str) -> None:
        """Open the terminal with a command, and a shell after it, so that its end stays seen."""
        self("new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "-c", str(self._folder),
             "sh", "-c", f"{command}; sleep 60")  # fmt: skip

    def shows(self, seen: Callable[[str], object], within_s: float = 180.0) -> str:
        """Wait until something is on the screen; return what is."""
        deadline = monotonic() + within_s
        while not seen(text := self("capture-pane", "-p")):
            if monotonic() > deadline:
                raise TimeoutError(text)
            sleep(0.05)
        return text.rstrip()


def live_view(screen: str) -> str:
    """Return the live view alone; nothing where there is none."""
    _, bar, rest = screen.rpartition("sending ━")
    return bar + rest if bar else ""


def is_running(view: str) -> bool:
    """Whether a live view shows requests in flight, and a good part of the run done."""
    told = " ".join(view.split())
    is_held_up = "paused" in told or "waiting: " in told
    flows = re.search(r" [3-9]\d\d of 1,500 .* [1-9]\d* in flight · [^:]* left allowed: ", told)
    return flows is not None and not is_held_up


def into_its_page(mark: str, text: str) -> None:
    """Put a screen into the code block after a comment in the README or the manual."""
    replace_block(mark, "".join(f"{line.rstrip()}\n" for line in text.splitlines()))


def photograph(page: Path, picture: Path) -> None:
    """Take a picture of the upper part of a page, as Debian's chromium shows it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        shown = browser.new_page(viewport={"width": 960, "height": 1_500})
        shown.goto(page.as_uri())
        shown.screenshot(path=picture)
        browser.close()


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = (f"{n},shop{n}.example.com,admin@shop{n}.example.com" for n in range(
            100_000, 100_000 + ORDERS))  # fmt: skip
        (folder / "orders.csv").write_text("\n".join(["order_id,domain,email", *rows, "x,,"]))
        tmux = Tmux(folder)
        tmux.open(f"env -u NO_COLOR TERM=screen {shlex.join(shlex.split(REHEARSAL))}")
        try:
            plan = tmux.shows(lambda text: " now?" in text)
            tmux("send-keys", "y", "Enter")
            paused = tmux.shows(lambda text: "  paused: " in live_view(text))
            running = tmux.shows(lambda text: is_running(live_view(text)))
            end = tmux.shows(lambda text: "Report: " in text)
        finally:
            tmux("kill-server")
        into_its_page("screen: plan", plan)
        into_its_page("screen: running", live_view(running))
        into_its_page("screen: paused", live_view(paused))
        into_its_page("screen: end", end[end.rindex("Run ") :])
        (report,) = (folder / "reports").glob("*/")
        photograph(report / "report.html", PICTURE)


if __name__ == "__main__":
    main()
