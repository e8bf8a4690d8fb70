"""What the README and the manual say is what happens."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from batch_resend import __version__
from batch_resend.simulator import Simulator, SimulatorSettings
from tests.cli.conftest import Desk, desk_with_ca
from tests.pages import (
    MANUAL,
    README,
    ROOT,
    Page,
    block,
    names_in_first_cells,
    pages,
    read_page,
    table,
    whole_text,
)

MAINTAINERS = ROOT / "batch_resend" / "README.md"
MOST_LINES = 200


def said_by_the_program() -> list[str]:
    """Return all texts in the code, joined where they stand beside each other."""
    modules = (ROOT / "batch_resend").rglob("*.py")
    return [
        node.value
        for module in modules
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_the_messages_that_are_explained_are_said() -> None:
    explained = names_in_first_cells("messages")
    said = said_by_the_program()
    assert len(explained) > 10
    assert [message for message in explained if not any(message in text for text in said)] == []


def places(page: Path) -> set[str]:
    """Return what a link may name of a page: its headings, as GitHub makes anchors of them."""
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    }


@pytest.mark.parametrize("page", [*pages(), read_page(MAINTAINERS)], ids=str)
def test_what_a_page_links_to_is_there(page: Page) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.text):
        file, _, place = link.partition("#")
        target = page.path.parent / file if file else page.path
        assert target.is_file(), link
        assert not place or place in places(target), link


def test_the_readme_is_short_and_leads_to_every_page_of_the_manual() -> None:
    readme = README.read_text(encoding="utf-8")
    assert readme.count("\n") <= MOST_LINES
    listed = [topic for topic, _ in table("| topic | what it is about")]
    assert sorted(listed) == [
        f"[{page.stem}](batch_resend/docs/{page.name})" for page in sorted(MANUAL.glob("*.md"))
    ]


def test_the_built_file_that_is_installed_is_of_this_version() -> None:
    named = re.findall(r"batch_resend-([\w.]+)-py3-none-any\.whl", whole_text())
    assert set(named) == {__version__}


def test_no_page_advises_to_install_from_an_index_what_no_index_has() -> None:
    lines = [line for page in pages() for line in page.command_lines() if " install " in line]
    assert lines
    from_index = [line for line in lines if re.search(r"install\b.* '?batch-resend\b", line)]
    assert [line for line in from_index if " --no-index " not in line] == []
    assert "install 'batch-resend" not in whole_text()


def test_the_picture_of_the_house_is_the_order_in_which_modules_may_import() -> None:
    page = (ROOT / "batch_resend" / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^    (\w+)(?:/|\.py) ", page, re.M)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    kept = [layer.removeprefix("batch_resend.") for layer in layers]
    assert shown == [layer for layer in kept if layer != "version"]


_BEGINS_A_LINE = re.compile(r"^ *(?:class |def |async def |from \S+ import )?(\w+)", re.MULTILINE)


def test_what_the_maintainers_page_names_is_in_the_code() -> None:
    page = MAINTAINERS.read_text(encoding="utf-8")
    folders = (ROOT / "batch_resend", ROOT / "tests")
    files = {
        path: path.read_text(encoding="utf-8")
        for folder in folders
        for path in folder.rglob("*.*")
        if path.suffix in (".py", ".sql", ".json", ".md", ".html") and path != MAINTAINERS
    }
    known = {word for text in files.values() for word in re.findall(r"\w+", text)}
    known |= {path.stem for path in files} | {"SECONDS", "WORLD"}  # of the Makefile
    of_modules: dict[str, set[str]] = {}
    for path, text in files.items():
        if path.suffix == ".py":
            for module in (path.stem, path.parent.name):
                begin = of_modules.setdefault(module, set())
                begin.update((path.stem, *_BEGINS_A_LINE.findall(text)))
    named = re.findall(r"`([\w./]+?)(?:\.(?:py|sql|md|csv|jsonl?|schema\.json|html|toml))?`", page)
    words = {word for name in named for word in name.split("/")}
    names = [re.findall(r"[A-Za-z_]\w+", word) for word in words]
    gone = [found for found in names if not known.issuperset(found)]
    gone += [[module, name] for *_, module, name in (found for found in names if len(found) > 1)
             if name not in of_modules.get(module, {name})]  # fmt: skip
    assert not gone, gone


def timeless(text: str) -> str:
    """Return output without what differs from run to run: its id, how long it took."""
    return re.sub(r"sent in \d+s", "sent", re.sub(r"\d{8}-\d{6}-[0-9a-f]{4}", "RUN", text))


def test_make_demo_runs_what_the_readme_shows(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    recipe = re.search(r"^demo: [^\n]*\n\t@(.*?)\|\|", (ROOT / "Makefile").read_text(), re.M | re.S)
    assert recipe is not None
    words = recipe[1].replace("\\\n", " ").replace("$(BIN)/batch-resend", "BATCH_RESEND").split()
    command = [
        part for word in words for part in (desk.command() if word == "BATCH_RESEND" else [word])
    ]
    (desk.folder / "samples").symlink_to(ROOT / "samples")
    del desk.environment["BATCH_RESEND_JOURNAL"]
    done = subprocess.run(
        command, cwd=desk.folder, env=desk.environment, capture_output=True, text=True, check=False,
        start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert timeless(done.stderr + done.stdout) == timeless(block("demo"))


@pytest.mark.asyncio
async def test_the_plain_example_of_the_library_sends_what_it_says(tmp_path: Path) -> None:
    async with Simulator(SimulatorSettings()) as ca:
        desk = Desk(tmp_path, ca.base_url)
        example = block("plain example")
        desk.write(
            "example.py", example.replace("https://www.digicert.com/services/v2", ca.base_url)
        )
        process = await desk.start(program=[sys.executable, "example.py"])
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        *outcomes, last = out.decode().splitlines()
        assert sorted(outcomes) == ["100200301 sent", "100200302 sent"]
        assert last == "2 of 2"
        assert ca.books.mails_per_order == {"100200301": 1, "100200302": 1}


@pytest.mark.asyncio
async def test_the_library_example_sends_what_it_says(tmp_path: Path) -> None:
    async with Simulator(SimulatorSettings()) as ca:
        desk = Desk(tmp_path, ca.base_url)
        example = block("example").replace("https://www.digicert.com/services/v2", ca.base_url)
        desk.write("example.py", example)
        process = await desk.start(program=[sys.executable, "example.py"])
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        assert out.decode() == "100200303 sent\n1 of 1\n"
        assert ca.books.mails_per_order == {"100200303": 1}
        assert (tmp_path / "report" / "summary.json").is_file()


@pytest.mark.asyncio
async def test_the_list_examples_are_taken_as_they_stand(tmp_path: Path) -> None:
    examples = re.findall(r"```text\n((?:order_id|\{).*?)```", whole_text(), re.DOTALL)
    csv_list, json_list = examples
    async with desk_with_ca(tmp_path, keep_bodies=True) as (desk, ca):
        desk.write("list.csv", csv_list)
        desk.write("list.jsonl", json_list)
        sent = await desk.run("send", "list.csv", "list.jsonl", "--again")
        assert sent.code == 0, sent.err
        assert set(ca.books.bodies) == {"100200301", "100200303", "100200304"}
