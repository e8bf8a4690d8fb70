"""What is released: built, checked, installed where nothing else is, and run from there.

    python -m tests.dist

Leaves sdist and wheel in `dist/`. The wheel is built from the sdist, so that nothing can be missing
in that either.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from batch_resend import __version__
from tests.pages import MANUAL, read_page

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
LIST = (
    "order_id,domain,email\n"
    "100200301,exämple.com,admin@xn--exmple-cua.com\n100200302,example.org,admin@example.org\n"
)
XLSX = ROOT / "tests" / "intake" / "lists" / "excel.xlsx"
QUIETLY = ("--quiet", "--disable-pip-version-check")
# As little as a service may have: no home that anything could be written to, and a locale of ASCII.
BARE = {
    "PATH": "/usr/bin:/bin", "HOME": "/dev/null",
    "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0",
}  # fmt: skip


def main() -> None:
    """Build, check, install and run."""
    shutil.rmtree(DIST, ignore_errors=True)
    _run([sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT)])
    built = sorted(DIST.iterdir())
    expected = {f"batch_resend-{__version__}{end}" for end in (".tar.gz", "-py3-none-any.whl")}
    if {path.name for path in built} != expected:
        sys.exit(f"dist/ has {[path.name for path in built]}, not {sorted(expected)}")
    _run([sys.executable, "-m", "twine", "check", "--strict", *map(str, built)])
    with tempfile.TemporaryDirectory(prefix="bätch resend ") as folder:
        _try(Path(folder), next(path for path in built if path.suffix == ".whl"))
        _try_ways_to_install(Path(folder) / "ways", built)
    sys.stdout.writelines(f"ready: {path.relative_to(ROOT)}\n" for path in built)


def _try(folder: Path, wheel: Path) -> None:
    """Install the wheel, to be read only, and use it as somebody without a home."""
    _run([sys.executable, "-m", "venv", str(folder / "installed")])
    python = folder / "installed" / "bin" / "python"
    _run([str(python), "-m", "pip", "install", *QUIETLY, str(wheel)])
    for path in (folder / "installed").rglob("*"):
        path.chmod(path.stat().st_mode & ~0o222)
    desk = folder / "dësk"
    desk.mkdir()
    (desk / "orders.csv").write_text(LIST, encoding="utf-8")
    (desk / "orders.xlsx").write_bytes(XLSX.read_bytes())
    ours = str(folder / "installed" / "bin" / "batch-resend")

    def expect(code: int, words: str, *arguments: str, **environment: str) -> None:
        said = _with_little(desk, [ours, *arguments], environment)
        if said.returncode != code or words not in said.stdout + said.stderr:
            sys.exit(
                f"{arguments}: exit code {said.returncode}, not {code}, or without {words!r}:\n"
                f"{said.stdout}{said.stderr}"
            )

    rehearsal = ("simulate", "--", ours, "send", "orders.csv", "--journal", "journal.db")
    expect(0, __version__, "--version")
    expect(0, "Usage: ", "--help")
    expect(0, "no-reply@digitalcertvalidation.com", "help", "mail")
    for page in MANUAL.glob("*.md"):
        expect(0, read_page(page).text.partition("\n")[0], "help", page.stem)
    expect(0, "2 for 2 orders", "check", "orders.csv")
    expect(0, "2 sent", *rehearsal)
    if not list(desk.glob("reports/*/summary.json")):
        sys.exit("the rehearsal has left no report")
    expect(3, "2 for 2 orders", "check", "orders.xlsx")
    database = ("--journal", "postgresql://db/journal")
    expect(1, "'batch-resend[cluster]'", "runs", *database)
    expect(1, "'batch-resend[cluster]'", "worker", *database)
    expect(1, "batch-resend[uvloop]", *rehearsal, BATCH_RESEND_EVENT_LOOP="uvloop")


def _try_ways_to_install(folder: Path, built: Sequence[Path]) -> None:
    """Run the lines of the manual's page "install", in a checkout that has the built file."""
    tools = folder / "tools"
    _run([sys.executable, "-m", "venv", str(tools)])
    _run([str(tools / "bin" / "pip"), "install", *QUIETLY, "pipx", "uv"])
    for path in built:
        if path.suffix == ".gz":
            shutil.unpack_archive(path, folder, filter="data")
        else:
            shutil.copy(path, folder)
    checkout = folder / f"batch_resend-{__version__}"
    shutil.move(folder / next(path.name for path in built if path.suffix == ".whl"), checkout)
    backend = folder / "home"
    environment = {
        **os.environ,
        "HOME": str(backend),
        "PATH": f"{backend / '.local' / 'bin'}:{tools / 'bin'}:/usr/bin:/bin",
        "PIPX_HOME": str(backend / "pipx"),
        "UV_TOOL_BIN_DIR": str(backend / "uv"),  # else each finds the program of the other
    }
    for line in read_page(MANUAL / "install.md").command_lines():
        if line.startswith(("podman ", "rm ")):
            continue
        done = subprocess.run(
            ["sh", "-c", line], cwd=checkout, env=environment, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"install.md: {line}: exit code {done.returncode}\n{done.stdout}")
        sys.stdout.write(f"installs: {line}\n")


def _with_little(
    desk: Path, command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=desk,
        env={**BARE, **environment},
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=60,
        check=False,
    )


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
