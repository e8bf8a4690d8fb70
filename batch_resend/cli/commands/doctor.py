"""`doctor`: is everything there to send? A few harmless reads, a line for each check."""

from collections.abc import Sequence
from typing import Any

import click

from batch_resend.certcentral import Route
from batch_resend.cli import rehearsal
from batch_resend.cli.as_settings import accounts_of, base_url_of, settings_by
from batch_resend.cli.exits import OF_DOCTOR, ExitCode
from batch_resend.cli.interruption import Interruption, run_interruptibly
from batch_resend.cli.key import WHERE_TO_PUT_IT, FoundKey, look_for_key
from batch_resend.cli.logs import set_up_logs_of
from batch_resend.cli.manual import ManualCommand
from batch_resend.cli.options import doctor_options
from batch_resend.cli.output.diagnosis import AsText, as_json
from batch_resend.cli.profiles import Profile
from batch_resend.clock import SystemClock
from batch_resend.doctor import Check, Diagnosis, Finding, Result, Setup, Subject, examine
from batch_resend.errors import SettingsError
from batch_resend.settings import (
    Account,
    Key,
    checked_base_url,
    checked_ca_file,
    proxy_of_environment,
)


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
        if rehearsal.is_on():
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
