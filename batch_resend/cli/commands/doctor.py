"""`doctor`: is everything there to send, and what to do where not."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from batch_resend.certcentral import Route
from batch_resend.cli.accounts import Profile
from batch_resend.cli.as_settings import accounts_of, settings_by
from batch_resend.cli.command import OF_DOCTOR, OF_READING, SHOWN, ExitCode, command, together
from batch_resend.cli.keys import WHERE_TO_PUT_IT, FoundKey, look_for_key
from batch_resend.cli.lifecycle import Interruption, run_interruptibly
from batch_resend.cli.logs import set_up_logs
from batch_resend.cli.options import (
    ca_options,
    journal_option,
    limit_option,
    log_file_option,
    log_level_option,
    make_log_options,
)
from batch_resend.cli.output.terminal import console_of, is_screen, show_json
from batch_resend.cli.rehearsals import is_rehearsal
from batch_resend.cli.urls import base_url_of
from batch_resend.clock import SystemClock, timestamp
from batch_resend.doctor import Check, Diagnosis, Finding, Group, Result, Setup, Subject, examine
from batch_resend.errors import SettingsError
from batch_resend.report import counted
from batch_resend.settings import (
    Account,
    Key,
    Settings,
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

_doctor_options = together(
    None,
    limit_option,
    ca_options,
    together("Journal", journal_option),
    together(
        SHOWN,
        make_log_options(
            "A sample of every answer, the fields that this program does not know, every request.",
            log_file_option,
            log_level_option,
            quiet="Only problems and warnings, samples of answers that differ, and the conclusion.",
        ),
    ),
)


@command(
    examples={
        "Before the first run": "batch-resend doctor --api-key-file key.txt",
        "Show how the CA's answers differ from what is expected": "batch-resend doctor -v",
        "In a script": "batch-resend doctor -q --api-key-file key.txt",
    },
    exit_codes=OF_READING,
    meanings=OF_DOCTOR,
    see_also=("check", "simulate", "send"),
)
@_doctor_options
def doctor(is_json: bool, **options: Any) -> int:
    """Check that everything is ready to send: journal, key, network, clock, the CA's answers.

    It mails nobody: it connects to the CA, reads a few things there, each once, and compares the
    answers with what this program expects. Where they differ, it shows a sample without names,
    addresses, domains, numbers or the key: please send it to us. Its reads count toward the rate
    limits. With profiles, it checks each account; --profile NAME checks only that one.
    """
    set_up_logs(options)
    setup = _setup(options)
    clock = SystemClock()
    text = _AsText(verbose=options["verbose"], quiet=options["quiet"])
    show = (lambda *_: None) if is_json else text.show

    async def work(_: Interruption) -> Diagnosis:
        return await examine(setup, clock, show)

    found = run_interruptibly(work)
    code = ExitCode.JOURNAL_BUSY if found.is_journal_busy else ExitCode.ALL_WELL
    if found.count(Result.PROBLEM):
        code = ExitCode.STOPPED
    if is_json:
        show_json(_as_json(found, code, clock(), verbose=options["verbose"]))
    else:
        text.end(found)
    return code


# --- what is looked at --------------------------------------------------------------------------


def _setup(options: dict[str, Any]) -> Setup:
    """Return what is to be looked at. Raises SettingsError; an account without a key is none."""
    profiles = {} if options["profile"] else accounts_of(options)
    own_key, finding = _look_for_key(options["api_key_file"], "Correct the file or its path.")
    # Where each account's key is; those of profiles are enough.
    keys: dict[str | None, Finding] = {}
    if finding.detail != _NO_KEY or not profiles:
        keys[None] = finding
    found = {name: _account_of(profile) for name, profile in profiles.items()}
    keys |= {name: finding for name, (_, finding) in found.items()}
    accounts = {name: account for name, (account, _) in found.items() if account is not None}
    settings = settings_by(options, own_key, accounts) if own_key or accounts else None
    urls = {None: base_url_of(options)} | {name: one.base_url for name, one in profiles.items()}
    subjects = list(_subjects(options, settings, keys, urls))
    return Setup(options["journal"], settings, subjects, options["timeout"])


def _subjects(
    options: dict[str, Any],
    settings: Settings | None,
    keys: Mapping[str | None, Finding],
    urls: Mapping[str | None, str],
) -> Iterator[Subject]:
    """Yield what to look at: accounts that go by one key once, and each that has none."""
    found = [] if settings is None else settings.keys(settings.names)
    by_name = {name: key for key in found for name in key.names}
    for name in keys:
        if (key := by_name.get(name)) is None:
            yield _subject(options, (name,), urls[name], [keys[name]], None)
        elif name == key.names[0]:
            findings = [keys[one] for one in key.names]
            yield _subject(options, key.names, key.account.base_url, findings, key)


def _subject(
    options: dict[str, Any],
    names: tuple[str | None, ...],
    base_url: str,
    findings: list[Finding],
    key: Key | None,
) -> Subject:
    trusts, own = options["trust_env"], options["profile"]
    try:
        url, ca_file = checked_base_url(base_url), checked_ca_file(options["ca_file"])
    except ValueError as error:
        raise SettingsError(str(error)) from None
    try:
        proxy = proxy_of_environment(url)
    except SettingsError:
        if trusts:
            raise
        proxy = None
    profiles = tuple(name for name in names if name is not None) or ((own,) if own else ())
    return Subject(
        title=f"Account {', '.join(profiles)}" if profiles else "CertCentral",
        names=profiles,
        base_url=url,
        key_findings=findings,
        key=key,
        route=Route(ca_file, proxy if trusts else None),
        is_proxy_left_out=proxy is not None and not trusts,
    )


_NO_KEY = "no API key"


def _look_for_key(path: Path | None, remedy: str) -> tuple[FoundKey | None, Finding]:
    """Return a key, if there is one, and where it is; `remedy` is for a file that has none."""
    try:
        found = look_for_key(path)
    except SettingsError as error:
        return None, Finding(Check.KEY, Result.PROBLEM, str(error), remedy)
    if found is None:
        where = f"{WHERE_TO_PUT_IT[0].upper()}{WHERE_TO_PUT_IT[1:]}."
        return None, Finding(Check.KEY, Result.PROBLEM, _NO_KEY, where)
    if found.remedy is None:
        return found, Finding(Check.KEY, Result.OK, f"in {found.where}")
    detail = f"in {found.where}, which other users can read"
    remedy = f"{found.remedy[0].upper()}{found.remedy[1:]}"
    return found, Finding(Check.KEY, Result.WARNING, detail, remedy)


def _account_of(profile: Profile) -> tuple[Account | None, Finding]:
    """Return the account of a profile, if its key can be read, and where that is."""
    remedy = f"Correct api-key-file in [profiles.{profile.name}]."
    try:
        if is_rehearsal():
            account = profile.account_by(profile.find_key())
            return account, Finding(Check.KEY, Result.OK, "of the rehearsal")
        key, finding = _look_for_key(profile.key_file(), remedy)
        return None if key is None else profile.account_by(key), finding
    except SettingsError as error:
        return None, Finding(Check.KEY, Result.PROBLEM, str(error), remedy)


# --- what was found, for people -----------------------------------------------------------------


class _AsText:
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
        is_left_out = finding.result is Result.NOT_CHECKED and not finding.remedy
        before = self._left_out[-1].detail if self._left_out else None
        if group is not self._group or not is_left_out or finding.detail != before:
            self._show_left_out()
        if group is not self._group:
            self._group = group
            _title(f"{group.title}, {group.base_url}" if group.base_url else group.title)
        if is_left_out:
            self._left_out.append(finding)
            return
        _line(finding.result, finding.check, finding.detail)
        for text in self._below(finding):
            _line(None, "", text)

    def end(self, found: Diagnosis) -> None:
        self._show_left_out()
        for finding in found.findings:
            if _has_sample(finding, verbose=self._verbose):
                _title(f"Sample: {finding.check}")
                click.echo(json.dumps(finding.sample, indent=2))
        if not self._quiet:
            click.echo()
        click.echo(_conclusion(found))

    def _show_left_out(self) -> None:
        checks = [finding.check for finding in self._left_out]
        if len(checks) == 1:
            _line(Result.NOT_CHECKED, checks[0], self._left_out[0].detail)
        elif checks:
            _line(Result.NOT_CHECKED, "", f"{', '.join(checks)}: {self._left_out[0].detail}")
        self._left_out = []

    def _below(self, finding: Finding) -> Iterator[str]:
        for one in finding.deviations:
            times = f" ({one.times:,} times)" if one.times > 1 else ""
            where = one.path or "the answer"
            yield f"{where}: expected {one.expected}, found {one.found}{times}"
        if self._verbose and finding.unknown_fields:
            yield f"other fields: {', '.join(finding.unknown_fields)}"
        if finding.remedy:
            yield f"-> {finding.remedy}"


def _has_sample(finding: Finding, *, verbose: bool) -> bool:
    """Whether a sample of the answer is shown: where it deviates, or when all are asked for."""
    return finding.sample is not None and (verbose or bool(finding.deviations))


def _conclusion(found: Diagnosis) -> str:
    problems, warnings = found.count(Result.PROBLEM), found.count(Result.WARNING)
    were = "was" if found.requests == 1 else "were"
    reads = f"{counted(found.requests, 'read')} {were} made, and nothing was mailed."
    if problems:
        keep = "keeps" if problems == 1 else "keep"
        return f"{counted(problems, 'problem')} {keep} a run from sending. {reads}"
    if found.is_journal_busy:
        return f"The CA was not asked, because another run holds the journal. {reads}"
    ready = "Ready to send" + (f"; {counted(warnings, 'warning')}" if warnings else "")
    return f"{ready}. {reads}"


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


# --- and for programs ---------------------------------------------------------------------------


def _as_json(found: Diagnosis, code: ExitCode, now: float, *, verbose: bool) -> dict[str, object]:
    """Return all that was found, as doctor.schema.json has it."""
    return {
        "version": __version__,
        "checked_at": timestamp(now),
        "exit_code": int(code),
        "problems": found.count(Result.PROBLEM),
        "warnings": found.count(Result.WARNING),
        "requests": found.requests,
        "groups": [
            {
                "title": group.title,
                "profiles": group.names,
                "base_url": group.base_url,
                "findings": [
                    asdict(one if _has_sample(one, verbose=verbose) else replace(one, sample=None))
                    for one in group.findings
                ],
            }
            for group in found.groups
        ],
    }
