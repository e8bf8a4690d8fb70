"""What of a command line the next ones need, too: in reports, in hints, for a worker's sweeps."""

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from batch_resend.cli.accounts import PARAMETERS, profiles_of
from batch_resend.cli.config import (
    CONFIG_VARIABLE,
    config_of,
    given_for_this_command,
    usual_config,
)
from batch_resend.cli.options import RESUME, SEND, VERIFY
from batch_resend.cli.rehearsals import is_over, is_rehearsal, is_whole_rehearsal
from batch_resend.cli.values import DURATION, as_character
from batch_resend.clock import exact_duration
from batch_resend.errors import SettingsError
from batch_resend.journal import JournalReader
from batch_resend.list_form import DELIMITERS
from batch_resend.model import Run
from batch_resend.report import (
    DEFAULT_PATTERN,
    NO_KEY_NAMED,
    URL_NOT_SHOWN,
    NextFlags,
)
from batch_resend.settings import InDoubt, Region
from batch_resend.windows import CA_WINDOWS

_KEPT = ("config", "send", "resume", "verify", "first", "for_real")  # of the next flags
# Options that a run keeps, which is resumed.
AS_BEGUN = ("in_doubt", "cooldown", "report_dir", "preflight", "redact", "order_url")
_OF_REPORTS = ("report_dir", "report_url")
_REHEARSED = ("send", "sweep")
_FAIL_ON, _REDACT, _ORDER_URL = "--fail-on", "--redact", "--order-url"
# As the journal will have it, or has it.
_OF_RUN = f"{__name__}.of_run"  # in a context: what the run that it resumes was begun with


def next_flags(context: click.Context, *, to_keep: bool = False) -> NextFlags:
    """Return what this command was given, where the next commands need to be given it as well.

    By the environment too: who reads a report may have another. What the TOML file says for all
    commands, they find there. Files are named as other folders have them: who copies a command out
    of a mail is in another one. `to_keep`: with the run. Then the journal is left out: where it is,
    its reader knows.
    """
    left_out = {"journal"} if to_keep else set[str]()
    left_out |= _set_by_simulate(context) | _found_by_heading(context)
    # What is sent may be a file of the report that it would replace.
    keeps_apart = "{run}" in str(context.params.get("report_dir"))
    of_reports = set[str]() if keeps_apart else {*_OF_REPORTS}

    def flags(names: Sequence[str | None]) -> str:
        return _quoted(option_words(context, names, absolute=True))

    left_out_of = {SEND: left_out | of_reports}

    def carried(to: str) -> list[str | None]:
        return [
            one.name
            for one in context.command.params
            if to in getattr(one, "carried_to", ())
            and one.name not in left_out_of.get(to, left_out)
        ]

    config = config_words(context, absolute=True)
    given = NextFlags(
        config=_quoted(config) if to_keep else _unless_usual(config),
        send=flags(carried(SEND)),
        resume=flags(carried(RESUME)),
        verify=flags(carried(VERIFY)),
        in_doubt=flags(("in_doubt",)),
        watch=flags(("journal",)),
        first=flags(("first_orders",)),
        none_will_do=is_whole_rehearsal(),
        for_real=_for_real(context, absolute=True),
        for_real_here=_for_real(context, absolute=False),
    )
    begun: NextFlags | None = context.meta.get(_OF_RUN)
    return given if begun is None else _with_those_of(begun, given, context)


def kept_flags(context: click.Context) -> dict[str, str]:
    """Return what a run keeps for the next commands: their flags, and where its report goes."""
    flags, report_dir = next_flags(context, to_keep=True), context.params.get("report_dir")
    kept = {name: getattr(flags, name) for name in _KEPT}
    return kept if report_dir is None else kept | {"report_dir": str(report_dir.absolute())}


def _set_by_simulate(context: click.Context) -> set[str]:
    """Return the options that `simulate` set for the command that it runs."""
    names = ("base_url", "journal") if is_rehearsal() else ()
    by_environment = ParameterSource.ENVIRONMENT
    return {name for name in names if context.get_parameter_source(name) is by_environment}


def _found_by_heading(context: click.Context) -> set[str]:
    """Return the options that lists of a report do not need: a usual delimiter is found in them.

    A spreadsheet that saves such a list may put another in.
    """
    is_usual = as_character(context.params.get("delimiter")) in DELIMITERS
    return {"delimiter"} if is_usual and not context.params.get("no_header") else set()


def _for_real(context: click.Context, *, absolute: bool) -> str:
    """Return this command as it would send for real what it rehearses; "" where none would.

    `absolute`: from any folder. There another list may have the name of this one.
    """
    name, inputs = context.info_name, context.params.get("inputs", ())
    set_by_simulate = _set_by_simulate(context)
    stays = (ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)  # for the next command, too
    is_at_simulator = (
        "base_url" not in set_by_simulate and context.get_parameter_source("base_url") in stays
    )
    if name not in _REHEARSED or "-" in inputs or is_at_simulator:
        return ""
    left_out = {"base_url", *set_by_simulate}
    options = [
        one.name
        for one in context.command.params
        if isinstance(one, click.Option) and one.name not in left_out
    ]
    words = option_words(context, options, name, absolute=absolute)
    has_key = "--api-key-file" in words or profiles_of(context)
    key = "" if has_key else NO_KEY_NAMED
    program = f"batch-resend{_unless_usual(config_words(context, absolute=absolute))}"
    lists = [str(Path(one).absolute()) if absolute else _no_option(one) for one in inputs]
    return f"{program} {name}{_quoted(words)}{key}{_quoted(lists)}"


def _no_option(path: str) -> str:
    """Return a path that no command takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def resume_as_begun(context: click.Context, run: Run, accounts: Sequence[str | None]) -> None:
    """Give this command, and the ones after it, what a run was begun with, where it has no other.

    The limits need nothing: a run keeps to those that it had.
    """
    context.meta[_OF_RUN] = _begun_with(run, accounts)
    context.params["report_dir"] = report_dir_for(context, run)
    for name, kept_as in (("in_doubt", "in_doubt"), ("cooldown", "cooldown_s")):
        if context.get_parameter_source(name) is ParameterSource.DEFAULT:
            context.params[name] = run.settings.get(kept_as, context.params[name])
    context.params["preflight"] = context.params["preflight"] or run.preflight_due
    if context.params["fail_on"] is None:
        context.params["fail_on"] = _kept_value(run, _FAIL_ON)
    show_as_begun(context, run)


def show_as_begun(context: click.Context, run: Run) -> None:
    """Have this command's page of a run mask addresses, and link orders, as the run's own does."""
    context.params["redact"] = context.params["redact"] or masks_addresses(run)
    if context.params["order_url"] is None:
        context.params["order_url"] = _kept_value(run, _ORDER_URL)


def masks_addresses(run: Run) -> bool:
    """Whether a run was begun with --redact."""
    return _REDACT in _kept(run)


def _kept(run: Run) -> list[str]:
    return shlex.split(run.next_flags.get("resume", ""))


def _kept_value(run: Run, flag: str) -> str | None:
    """Return what a run was given for an option; None: it was not given it."""
    kept = _kept(run)
    return kept[kept.index(flag) + 1] if flag in kept else None


async def next_flags_of_run(context: click.Context, reader: JournalReader, run: Run) -> NextFlags:
    """Return what the next commands for a run need that another command line began."""
    if "report_dir" in context.params:
        context.params["report_dir"] = report_dir_for(context, run)
    begun = _begun_with(run, await reader.accounts(run))
    flags = _with_those_of(begun, next_flags(context), context)
    return replace(flags, none_will_do=flags.none_will_do or await is_over(reader, run))


def refuse_other_profile(context: click.Context, run: Run, accounts: Sequence[str | None]) -> None:
    """Raise SettingsError where a run's orders would meet the key of another profile.

    A key file that the command line names is meant.
    """
    profile: str | None = context.params["profile"]
    by_key = context.get_parameter_source("api_key_file") is ParameterSource.COMMANDLINE
    if None not in accounts or run.profile in (None, profile) or (profile is None and by_key):
        return
    instead = "" if profile is None else f", not of profile {profile}"
    raise SettingsError(
        f"run {run.id} is of profile {run.profile}{instead}; give --profile {run.profile}"
    )


def report_dir_for(context: click.Context, run: Run) -> Path:
    """Return the pattern of where a run's report is to be.

    That is what this command line says, or else where the run put it. What the file or the
    environment says is for runs that begin, and for one whose place is not here.
    """
    given: Path = context.params["report_dir"]
    is_said = context.get_parameter_source("report_dir") is ParameterSource.COMMANDLINE
    own = own_report_dir(run)
    if is_said or own is None or own == given.absolute():  # this one may be shorter
        return given
    return own


def own_report_dir(run: Run) -> Path | None:
    """Return the pattern of where a run put its report; None: that is not known, or not here.

    By default that is in the folder in which the run was begun: it may be gone, or another host's.
    """
    pattern, parts = Path(run.next_flags.get("report_dir", "")), DEFAULT_PATTERN.parts
    is_usual = pattern.parts[-len(parts) :] == parts
    is_here = not is_usual or pattern.parents[len(parts) - 1].is_dir()
    return pattern if pattern.parts and is_here else None


async def as_begun(reader: JournalReader, run: Run, given: NextFlags) -> NextFlags:
    """Return what the next commands need for another run than this command's (`given`: those)."""
    begun = _begun_with(run, await reader.accounts(run))
    return replace(
        begun,
        config=given.config or begun.config,
        send=_merged(begun.send, given.watch),
        resume=_merged(begun.resume, given.watch),
        verify=_merged(begun.verify, given.watch),
        watch=given.watch,
        none_will_do=await is_over(reader, run),
    )


def _begun_with(run: Run, accounts: Sequence[str | None]) -> NextFlags:
    in_doubt = " --in-doubt hold" if run.settings.get("in_doubt") == InDoubt.HOLD else ""
    if kept := run.next_flags:
        config = _unless_usual(shlex.split(kept["config"]))
        return NextFlags(
            kept["send"], kept["resume"], in_doubt, verify=kept["verify"], config=config,
            first=kept["first"], for_real=kept["for_real"],
        )  # fmt: skip
    place, limits = _in_common(run, accounts or (None,))
    others = place if set(accounts) - {None} else ""
    return NextFlags(f"{place}{limits}", others, in_doubt, verify=others)


def _in_common(run: Run, names: Sequence[str | None]) -> tuple[str, str]:
    """Return as flags where all accounts of a run are, and their limits.

    It is for a run of the library's, which keeps no flags. What its accounts have in common can go
    as a flag: that changes nothing for any of them. What sets them apart is in the file.
    """
    place, limits = "", ""
    urls = {run.url_of(name) for name in names}
    if len(urls) == 1 and urls.isdisjoint({None, Region.US.base_url}):
        place = f" --base-url {run.url_of(names[0])}"
    windows = {run.windows_of(name) for name in names}
    if len(windows) == 1 and windows.isdisjoint({None, tuple(map(str, CA_WINDOWS))}):
        limits = "".join(f" --limit {one}" for one in run.windows_of(names[0]) or ("none",))
    return place, limits


def _with_those_of(begun: NextFlags, given: NextFlags, context: click.Context) -> NextFlags:
    """Return the flags of a run, and those that this command was given; these win."""
    is_held = context.params.get("in_doubt", InDoubt.HOLD) == InDoubt.HOLD
    return replace(
        given,
        config=given.config or begun.config,
        send=_merged(begun.send, given.send),
        resume=_merged(begun.resume, given.resume),
        verify=_merged(begun.verify, given.verify),
        in_doubt=given.in_doubt or (begun.in_doubt if is_held else ""),
        first=given.first or begun.first,
        for_real=given.for_real or begun.for_real,
    )


def _merged(flags: str, others: str) -> str:
    """Return flags and others; an option that both have is as the others have it."""
    named = {word for word in shlex.split(others) if word.startswith("--")}
    kept, is_kept = [], True
    for word in shlex.split(flags):
        is_kept = word not in named if word.startswith("--") else is_kept
        kept += [word] if is_kept else []
    return f"{_quoted(kept)}{others}"


def config_words(context: click.Context, *, absolute: bool = False) -> list[str]:
    """Return the words that name the TOML file, wherever it was found; they stand before all.

    None for a file that says nothing, as `config init` writes it.
    """
    path: Path | None = context.find_root().params.get("config")
    config = config_of(context)
    if path is None or config is None or config.says_nothing:
        return []
    return ["--config", str(path.absolute() if absolute else path)]


def _unless_usual(config: Sequence[str]) -> str:
    """Return the words that name the TOML file, but for one that is found without them."""
    usual = usual_config()
    names = {os.environ.get(CONFIG_VARIABLE) or str(usual), *config[1:]}
    is_usual = usual is not None and {Path(name).resolve() for name in names} == {usual.resolve()}
    return "" if is_usual else _quoted(config)


def _quoted(words: Sequence[str]) -> str:
    return "".join(f" {shlex.quote(word)}" for word in words)


def as_written(value: object, kind: click.ParamType[Any]) -> str:
    """Return a value as a person would write it on the command line."""
    if isinstance(value, tuple):
        return "=".join(value)
    if kind is DURATION and isinstance(value, float):
        return exact_duration(value)
    return str(value)


def _is_in_the_file_of(then: str, context: click.Context, name: str) -> bool:
    """Whether the next commands find an option of the file by themselves, or are not to have it.

    What the file says of one account, or of all that say nothing else, would go as a flag for each
    account that a list names.
    """
    if name not in given_for_this_command(context):
        return True
    root = context.find_root().default_map or {}
    if name in root.get(then, {}):
        return True
    # Where there are other accounts, only the key may be a flag: the rest would go for them too.
    return name in PARAMETERS and name != "api_key_file" and bool(profiles_of(context))


def option_words(
    context: click.Context,
    names: Sequence[str | None],
    then: str = "",
    *,
    absolute: bool = False,
) -> list[str]:
    """Return the words by which a command is given some options, wherever it had them from.

    `then` is the command that they are for, if it is known: what the file says for it stands.
    `absolute`: of files, whole paths. A secret is not shown.
    """
    words: list[str] = []
    for param, by_file in _given(context, names):
        value = context.params[param.name or ""]
        is_found = by_file and _is_in_the_file_of(then, context, param.name or "")
        # In another folder it would be another journal, which does not know what was sent.
        is_of_folder = param.name == "journal" and value != _absolute(value)
        if is_found and not (absolute and is_of_folder):
            continue
        words += _words_of(param, _absolute(value) if absolute else value)
    return words


def _absolute(value: object) -> object:
    return value.absolute() if isinstance(value, Path) else value


def _given(
    context: click.Context, names: Sequence[str | None]
) -> Iterator[tuple[click.Parameter, bool]]:
    """Yield those of some options that were given in any way, and whether the file says them."""
    for param in context.command.params:
        given = context.get_parameter_source(param.name or "")
        if param.name in names and given not in (None, ParameterSource.DEFAULT):
            in_file = param.name in (context.default_map or {})
            yield param, given is ParameterSource.DEFAULT_MAP and in_file


def _words_of(param: click.Parameter, value: object) -> list[str]:
    """Return the words by which an option has a value; none for a flag that is off."""
    name = param.opts[0]
    if isinstance(value, bool) or value is None:
        return [name] if value else []
    if getattr(param, "is_secret", False):
        return [name, URL_NOT_SHOWN]
    values = value if isinstance(value, tuple) else (value,)
    return [word for one in values for word in (name, as_written(one, param.type))]
