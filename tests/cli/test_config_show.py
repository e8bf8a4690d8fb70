"""`config show`, `config init`, and the file of options in the commands that come next."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click

from batch_resend.cli.config import read_config
from batch_resend.cli.main import cli
from batch_resend.cli.values import DURATION
from batch_resend.report import is_alike
from tests.cli.conftest import KEY, Desk, desk_with_ca
from tests.notify.listener import listening
from tests.pages import MANUAL, read_page


async def shown(desk: Desk, *words: str, **environment: Any) -> dict[str, tuple[object, str]]:
    """Return the value of each option as `config show` has it, and where it comes from."""
    done = await desk.run(*words, "--json", **environment)
    assert done.code == 0, done.err
    return {one["option"]: (one["value"], one["from"]) for one in json.loads(done.out)["options"]}


async def test_config_show_says_of_each_option_where_its_value_comes_from(desk: Desk) -> None:
    del desk.environment["BATCH_RESEND_BASE_URL"], desk.environment["DIGICERT_API_KEY"]
    desk.write("key.txt", "a-secret-key-0123").chmod(0o600)
    desk.write(
        "batch.toml",
        'timeout = "9s"\n\n# more\nmap = { order_id = "Nr" }\n[send]\npatience = "2h"\n'
        '[sweep]\npatience = "3h"\n[profiles.shop]\nregion = "eu"\napi-key-file = "key.txt"\n',
    )
    show = ("--config", "batch.toml", "config", "show")
    variable = {"BATCH_RESEND_CONCURRENCY": "7"}
    of_send = await shown(desk, *show, "--limit", "5/1s", "--limit", "9/1m", **variable)
    assert of_send["--timeout"] == ("9s", "batch.toml, line 1")
    assert of_send["--map"] == (["order_id=Nr"], "batch.toml, line 4")
    assert of_send["--patience"] == ("2h", "batch.toml, line 6")
    assert of_send["--concurrency"] == (7, "variable BATCH_RESEND_CONCURRENCY")
    assert of_send["--limit"] == (["5/1s", "9/1m"], "command line")
    assert of_send["--max-attempts"] == (6, "default")
    assert of_send["--max-rejected"] == ("20%", "default")
    assert of_send["API key"] == (None, "nowhere")
    of_sweep = await shown(desk, *show, "sweep", "--profile", "shop")
    assert of_sweep["--patience"] == ("3h", "batch.toml, line 8")
    assert of_sweep["--region"] == ("eu", "batch.toml, line 10, [profiles.shop]")
    assert of_sweep["--base-url"] == (None, "default")
    assert of_sweep["--api-key-file"] == ("key.txt", "batch.toml, line 11, [profiles.shop]")
    assert of_sweep["API key"] == ("***", "--api-key-file key.txt")
    table = (await desk.run(*show)).out
    assert re.search(r"^--patience +2h +batch\.toml, line 6$", table, re.M)


async def test_config_show_refuses_a_command_that_there_is_not(desk: Desk) -> None:
    refused = await desk.run("config", "show", "swep")
    assert refused.code == 2
    assert "there is no command swep" in refused.err


async def test_config_show_refuses_the_values_that_the_command_refuses(desk: Desk) -> None:
    desk.write("orders.csv", "order_id\n1\n")
    commands = {"send": ("orders.csv",), "sweep": (), "export": ("--out", "o.csv")}
    for given in ("--limit 9/s", "--base-url nowhere", "--timeout 0s", "--cooldown 9x"):
        for name, words in commands.items():
            shown = await desk.run("config", "show", name, *given.split())
            refused = await desk.run(name, *words, *given.split())
            assert shown.code == refused.code > 0, (name, given)
            assert refused.err.splitlines()[-1].split(": ", 1)[1] in shown.err
    shown = await desk.run("config", "show", "check", "--limit", "9/s")
    assert (shown.code, shown.out) == (1, "")


async def test_config_show_masks_what_is_secret_and_carries_nothing_out(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca), listening() as hook:
        urls = ("--notify-url", f"{hook.url}/secret", "--ping-url", "xoxb-secret")
        for words in (("config", "show"), ("config", "show", "send"), ("config", "show", "sweep")):
            for form in ((), ("--json",)):
                told = await desk.run(*words, *urls, *form)
                assert told.code == 0, told.err
                assert "http://127.0.0.1/***" in told.out
                assert "secret" not in told.out
                assert KEY not in told.out
        refused = await desk.run("config", "show", *urls, "--timeout", "5")
        assert refused.code == 2
        assert (ca.books.requests, hook.posts) == (0, [])


async def test_config_init_writes_a_file_of_which_each_line_can_be_used(desk: Desk) -> None:
    made = await desk.run("config", "init")
    path = desk.folder / ".config/batch-resend/config.toml"
    assert (made.code, str(path) in made.out) == (0, True)
    assert path.stat().st_mode & 0o777 == 0o600
    commands = list(cli.commands.values())
    assert read_config(path, commands).defaults.keys() == {one.name for one in commands}
    table, tried = "", set[tuple[str, str]]()
    for line in path.read_text().splitlines():
        if line.removeprefix("# ").startswith("["):
            table = line.removeprefix("# ")
        elif re.match("# [a-z-]+ = ", line):
            one = desk.write("one.toml", f"{table}\n{line[2:]}\n")
            if not table.startswith("[profiles"):
                tried.add((table.strip("[]"), line.split()[1]))
                read_config(one, commands)
    everything = {
        (name, option.opts[0].removeprefix("--")): option
        for name, command in cli.commands.items()
        for option in command.params
        if isinstance(option, click.Option) and option.opts[0] != "--json"
    }
    assert {key for _, key in everything} == {key for _, key in tried}
    # What means something of its own in a command can be set for that alone.
    assert {one for one, option in everything.items() if option.envvar is None} <= tried
    shown_after = await shown(desk, "config", "show")
    assert {source for _, source in shown_after.values() if str(path) in source} == set()


async def test_the_folder_and_the_url_of_reports_in_that_file_belong_together(desk: Desk) -> None:
    await desk.run("config", "init")
    text = (desk.folder / ".config/batch-resend/config.toml").read_text()
    lines = re.findall(r"^# (report-(?:dir|url) = .*)$", text, re.MULTILINE)
    found = tomllib.loads("\n".join(lines))
    assert found.keys() == {"report-dir", "report-url"}
    assert is_alike(found["report-url"], Path(found["report-dir"]))


async def test_an_option_that_several_tables_of_that_file_have_is_its_tables_alone(
    desk: Desk,
) -> None:
    await desk.run("config", "init")
    path = desk.folder / ".config/batch-resend/config.toml"
    before, beginning, own = path.read_text().partition("[prune]\n")
    path.write_text(before + beginning + own.replace("# older-than =", "older-than =", 1))
    sources = {name: await shown(desk, "config", "show", name) for name in ("sweep", "prune")}
    assert [name for name, of in sources.items() if str(path) in of["--older-than"][1]] == ["prune"]


async def test_what_notifies_of_the_night_is_in_that_file_for_sweeps_alone(desk: Desk) -> None:
    await desk.run("config", "init")
    path = desk.folder / ".config/batch-resend/config.toml"
    notifying = {"--notify-url": "http://h/n", "--ping-url": "http://h/p", "--metrics-file": "m"}
    text = path.read_text()
    assert "a `send` by hand would tell the watchdog that all is well" in text
    for flag, value in notifying.items():
        text, count = re.subn(f"^# {flag[2:]} = .*$", f'{flag[2:]} = "{value}"', text, flags=re.M)
        assert count == 1
    path.write_text(text)
    for command, is_notified in (("sweep", True), ("send", False), ("resume", False)):
        found = await shown(desk, "config", "show", command)
        assert {flag for flag in notifying if str(path) in found[flag][1]} == (
            notifying.keys() if is_notified else set()
        )


async def test_config_init_overwrites_nothing_and_takes_the_name_of_config(desk: Desk) -> None:
    words = ("--config", "new/batch.toml", "config", "init")
    assert (await desk.run(*words)).code == 0
    desk.write("new/batch.toml", "mine")
    refused = await desk.run(*words)
    assert (refused.code, refused.out) == (1, "")
    assert "new/batch.toml exists already, and was left as it is" in refused.err
    assert (desk.folder / "new/batch.toml").read_text() == "mine"


def test_the_usual_place_of_the_file_is_named_in_help_and_manual() -> None:
    place = "~/.config/batch-resend/config.toml"
    (option,) = [one for one in cli.params if one.name == "config"]
    assert isinstance(option, click.Option)
    assert place in str(option.help)
    assert f"`{place}`" in read_page(MANUAL / "reference.md").text


async def test_a_length_of_time_is_shown_as_a_person_writes_it_and_can_be_given_so(
    desk: Desk,
) -> None:
    for name, command in cli.commands.items():
        times = [one for one in command.params if one.type is DURATION]
        for option in times:
            flag = option.opts[0]
            given = await shown(desk, "config", "show", name, flag, "1080h")
            assert given[flag] == ("45d", "command line")
            again = await shown(desk, "config", "show", name, flag, str(given[flag][0]))
            assert again[flag] == given[flag]
    assert (await shown(desk, "config", "show", "prune"))["--older-than"] == ("90d", "default")


async def test_commands_that_come_next_name_no_file_that_is_found_without_a_name(
    tmp_path: Path,
) -> None:
    async with desk_with_ca(tmp_path) as (desk, _):
        usual = tmp_path / ".config/batch-resend/config.toml"
        usual.parent.mkdir(parents=True)
        usual.write_text('patience = "0s"\nmax-attempts = 1\n')
        desk.write("other.toml", usual.read_text())
        assert (await desk.run("--config", "empty.toml", "config", "init")).code == 0
        desk.write_list(2)
        by_variable = {"BATCH_RESEND_CONFIG": str(usual)}
        for words, variables, named in (
            ((), {}, None),
            (("--config", str(usual)), {}, None),
            (("--config", ".config/batch-resend/config.toml"), {}, None),
            ((), by_variable, None),
            (("--config", "other.toml"), by_variable, "other.toml"),
            (("--config", "empty.toml"), {}, None),
            (("--config", "other.toml"), {}, "other.toml"),
        ):
            send = (*words, "send", "orders.csv", "--max-orders", "1", "--again")
            desk.environment |= variables
            sent = await desk.run(*send, "--cooldown", "0s")
            assert sent.code == 4, sent.err
            (resume,) = re.findall(r"^ +batch-resend (.*)$", sent.out, re.M)
            config = f"--config {tmp_path / named} " if named else ""  # also in another folder
            assert resume.startswith(f"{config}resume ")
            watched = await desk.run("watch")
            assert f"batch-resend {config}resume " in watched.out + watched.err
            resumed = await desk.run(*shlex.split(resume))
            assert resumed.code == 0, resumed.err
            for variable in variables:
                del desk.environment[variable]
