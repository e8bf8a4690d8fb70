"""`doctor`: is everything there to send, and what to do where not."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from batch_resend.certcentral import Route
from batch_resend.cli.accounts import WHERE_TO_PUT_IT, FoundKey, Profile, is_rehearsal, look_for_key
from batch_resend.cli.as_settings import accounts_of, base_url_of, settings_by
from batch_resend.cli.command import OF_DOCTOR, ExitCode, ManualCommand
from batch_resend.cli.lifecycle import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs_of
from batch_resend.cli.options import doctor_options
from batch_resend.cli.output.terminal import console_of, is_screen
from batch_resend.clock import SystemClock, timestamp
from batch_resend.doctor import (
    Check,
    Deviation,
    Diagnosis,
    Finding,
    Group,
    Result,
    Setup,
    Subject,
    examine,
)
from batch_resend.errors import SettingsError
from batch_resend.settings import (
    Account,
    Key,
    checked_base_url,
    checked_ca_file,
    proxy_of_environment,
)
from batch_resend.version import __version__
from batch_resend.visible import visible

_STYLES = {
    Result.OK: "green",
    Result.WARNING: "yellow",
    Result.PROBLEM: "bold red",
    Result.NOT_CHECKED: "dim",
}
_MARK, _CHECK = 11, 10  # columns
_TO_DO = "-> "


class AsText:
    """Shows findings as they come: a line each, what to do below it."""

    def __init__(self, *, verbose: bool, quiet: bool) -> None:
        self._verbose = verbose
        self._quiet = quiet
        self._group: Group | None = None  # whose title stands above
        self._left_out: list[Finding] = []  # for one reason, shown together

    def show(self, group: Group, finding: Finding) -> None:
        """Show a finding. What is not checked for one reason is shown in one line, once it ends."""
        if self._quiet and finding.result in (Result.OK, Result.NOT_CHECKED):
            return
        if self._left_out and (
            finding.result is not Result.NOT_CHECKED
            or finding.detail != self._left_out[0].detail
            or group is not self._group
        ):
            self._show_left_out()
        if group is not self._group:
            self._group = group
            where = f", {group.base_url}" if group.base_url else ""
            _title(f"{group.title}{where}")
        if finding.result is Result.NOT_CHECKED and not finding.remedy:
            self._left_out.append(finding)
            return
        _line(finding.result, finding.check, finding.detail)
        for text in self._below(finding):
            _line(None, "", text)

    def end(self, found: Diagnosis) -> None:
        """Show the samples, and what it all comes to."""
        self._show_left_out()
        for group in found.groups:
            for finding in group.findings:
                if has_sample(finding, verbose=self._verbose):
                    _title(f"Sample: {finding.check}")
                    click.echo(json.dumps(finding.sample, indent=2))
        if not self._quiet:
            click.echo()
        click.echo(_conclusion(found))

    def _show_left_out(self) -> None:
        if self._left_out:
            checks = ", ".join(finding.check for finding in self._left_out)
            first = self._left_out[0]
            many = len(self._left_out) > 1
            text = f"{checks}: {first.detail}" if many else first.detail
            _line(Result.NOT_CHECKED, "" if many else first.check, text)
            self._left_out = []

    def _below(self, finding: Finding) -> Iterator[str]:
        for deviation in finding.deviations:
            yield _deviation(deviation)
        if self._verbose and finding.unknown_fields:
            yield f"fields beyond that: {', '.join(finding.unknown_fields)}"
        if finding.remedy:
            yield f"{_TO_DO}{finding.remedy}"


def as_json(found: Diagnosis, code: ExitCode, now: float, *, verbose: bool) -> str:
    """Return all that was found as one JSON object, as doctor.schema.json has it."""
    document = {
        "version": __version__,
        "checked_at": timestamp(now),
        "exit_code": int(code),
        "problems": found.count(Result.PROBLEM),
        "warnings": found.count(Result.WARNING),
        "requests": found.requests,
        "groups": [
            {
                "title": group.title,
                "profiles": list(group.names),
                "base_url": group.base_url,
                "findings": [_as_json(finding, verbose=verbose) for finding in group.findings],
            }
            for group in found.groups
        ],
    }
    return json.dumps(document, indent=2)


def has_sample(finding: Finding, *, verbose: bool) -> bool:
    """Whether a sample of the answer is shown: where it deviates, or when all are asked for."""
    return finding.sample is not None and (verbose or bool(finding.deviations))


def _as_json(finding: Finding, *, verbose: bool) -> dict[str, object]:
    return {
        "check": finding.check,
        "result": finding.result,
        "detail": finding.detail,
        "remedy": finding.remedy,
        "deviations": [
            {"path": one.path, "expected": one.expected, "found": one.found, "times": one.times}
            for one in finding.deviations
        ],
        "unknown_fields": list(finding.unknown_fields),
        "sample": finding.sample if has_sample(finding, verbose=verbose) else None,
    }


def _deviation(one: Deviation) -> str:
    times = f" ({one.times:,} times)" if one.times > 1 else ""
    return f"{one.path or 'the answer'}: {one.expected} is expected, found: {one.found}{times}"


def _conclusion(found: Diagnosis) -> str:
    problems, warnings = found.count(Result.PROBLEM), found.count(Result.WARNING)
    some_reads = "1 read was" if found.requests == 1 else f"{found.requests} reads were"
    reads = f"{some_reads} made, and nothing was mailed."
    if problems:
        some = "1 problem keeps" if problems == 1 else f"{problems} problems keep"
        return f"{some} a run from sending. {reads}"
    if found.is_journal_busy:
        return f"The CA was not asked, for another run holds the journal. {reads}"
    if warnings:
        some = "1 warning" if warnings == 1 else f"{warnings} warnings"
        return f"Ready to send; {some}. {reads}"
    return f"Ready to send. {reads}"


def _title(text: str) -> None:
    click.echo(click.style(visible(text), bold=True) if is_screen(sys.stdout) else visible(text))


def _line(result: Result | None, check: str, text: str) -> None:
    """Show one line in three columns; on a terminal the last one is wrapped between words."""
    text = visible(text)
    if not is_screen(sys.stdout):
        click.echo(f"  {result or '':<{_MARK}}  {check:<{_CHECK}}  {text}".rstrip())
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=_MARK + 2, no_wrap=True)
    grid.add_column(width=_CHECK, no_wrap=True)
    grid.add_column(overflow="fold")
    mark = Text(f"  {result or ''}", _STYLES[result] if result else "")
    grid.add_row(mark, Text(check, "bold"), Text(text))
    console_of(sys.stdout).print(grid)


@click.command(
    cls=ManualCommand,
    examples={
        "Before the first run": "batch-resend doctor --api-key-file key.txt",
        "What this program does not know of the CA's answers": "batch-resend doctor -v",
        "In a script": "batch-resend doctor -q --api-key-file key.txt",
    },
    exit_codes=(ExitCode.STOPPED, ExitCode.JOURNAL_BUSY),
    meanings=OF_DOCTOR,
    see_also=("check", "simulate", "send"),
)
@doctor_options
def doctor(is_json: bool, **options: Any) -> int:
    """Check whether everything is there to send: journal, key, network, clock, the CA's answers.

    It mails nobody: it connects to the CA, reads a few things there, each once, and compares the
    answers with what this program expects. What deviates is shown as a sample that has no names, no
    addresses, no domains, no numbers and no key in it: please send it to us. What it reads counts
    in the rate limits. With profiles, each account is checked; --profile NAME checks that one.
    """
    set_up_logs_of(options)
    setup = _setup(options)
    clock = SystemClock()
    text = AsText(verbose=options["verbose"], quiet=options["quiet"])
    show = (lambda *_: None) if is_json else text.show

    async def work(_: Interruption) -> Diagnosis:
        return await examine(setup, clock, show)

    found = run_interruptibly(work)
    code = _exit_code(found)
    if is_json:
        click.echo(as_json(found, code, clock(), verbose=options["verbose"]))
    else:
        text.end(found)
    return code


def _exit_code(found: Diagnosis) -> ExitCode:
    if found.count(Result.PROBLEM):
        return ExitCode.STOPPED
    return ExitCode.JOURNAL_BUSY if found.is_journal_busy else ExitCode.ALL_WELL


def _setup(options: dict[str, Any]) -> Setup:
    """Return what is to be looked at. Raises SettingsError; an account without a key is none."""
    profiles = {} if options["profile"] else accounts_of(options)
    keys: dict[str | None, Finding] = {}  # where each account's key is, by its name
    own_key = _own_key(options, keys, is_needed=not profiles)
    accounts = {
        name: account
        for name, profile in profiles.items()
        if (account := _account_of(profile, keys)) is not None
    }
    settings = settings_by(options, own_key, accounts) if own_key or accounts else None
    of_name = {} if settings is None else {
        name: key for key in settings.keys(settings.names) for name in key.names
    }  # fmt: skip
    urls = {None: base_url_of(options)} | {name: one.base_url for name, one in profiles.items()}
    subjects = []
    for name, finding in keys.items():
        key = of_name.get(name)
        if key is None:
            subjects.append(_subject(options, (name,), [finding], urls[name], None))
        elif key.names[0] == name:
            found = [keys[one] for one in key.names]
            subjects.append(_subject(options, key.names, found, key.account.base_url, key))
    return Setup(options["journal"], settings, subjects, options["timeout"])


def _own_key(
    options: dict[str, Any], keys: dict[str | None, Finding], *, is_needed: bool
) -> str | None:
    """Return the key of the command's own account, if there is one; say where it is."""
    try:
        found = look_for_key(options["api_key_file"])
    except SettingsError as error:
        keys[None] = Finding(Check.KEY, Result.PROBLEM, str(error), "Correct the file or its path.")
        return None
    if found is not None:
        keys[None] = _where(found)
        return found.text
    if is_needed:
        keys[None] = Finding(Check.KEY, Result.PROBLEM, "no API key", _capitalized(WHERE_TO_PUT_IT))
    return None


def _account_of(profile: Profile, keys: dict[str | None, Finding]) -> Account | None:
    """Return the account of a profile, if its key can be read; say where that is."""
    try:
        if is_rehearsal():
            account = profile.account()
            keys[profile.name] = Finding(Check.KEY, Result.OK, "of the rehearsal")
            return account
        found = look_for_key(profile.key_file())
        if found is None:  # not with a file's name
            return None
        account = profile.account_by(found.text)
    except SettingsError as error:
        remedy = f"Correct api-key-file in [profiles.{profile.name}]."
        keys[profile.name] = Finding(Check.KEY, Result.PROBLEM, str(error), remedy)
        return None
    keys[profile.name] = _where(found)
    return account


def _where(found: FoundKey) -> Finding:
    if found.remedy is None:
        return Finding(Check.KEY, Result.OK, f"in {found.where}")
    detail = f"in {found.where}, which others than its owner can read"
    return Finding(Check.KEY, Result.WARNING, detail, f"Run {found.remedy}")


def _subject(
    options: dict[str, Any],
    names: tuple[str | None, ...],
    found: Sequence[Finding],
    base_url: str,
    key: Key | None,
) -> Subject:
    profiles = tuple(name for name in names if name is not None) or _taken(options)
    title = f"Account {', '.join(profiles)}" if profiles else "CertCentral"
    try:
        url, ca_file = checked_base_url(base_url), checked_ca_file(options["ca_file"])
    except ValueError as error:
        raise SettingsError(str(error)) from None
    is_left_out = not options["trust_env"] and _names_a_proxy(url)
    proxy = proxy_of_environment(url) if options["trust_env"] else None
    return Subject(title, profiles, url, found, key, Route(ca_file, proxy), is_left_out)


def _taken(options: dict[str, Any]) -> tuple[str, ...]:
    return (options["profile"],) if options["profile"] else ()


def _names_a_proxy(base_url: str) -> bool:
    try:
        return proxy_of_environment(base_url) is not None
    except SettingsError:
        return False


def _capitalized(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
