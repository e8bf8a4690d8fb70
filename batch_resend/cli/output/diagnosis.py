"""What the doctor found: lines for people as the checks are made, one object for programs."""

import json
import sys
from collections.abc import Iterator

import click
from rich.table import Table
from rich.text import Text

from batch_resend.cli.exits import ExitCode
from batch_resend.cli.output.terminal import console_of, is_screen
from batch_resend.doctor import Deviation, Diagnosis, Finding, Group, Result
from batch_resend.durations import timestamp
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
