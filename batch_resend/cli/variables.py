"""The environment variables that are options: one that is not known is an error.

Passed over, a misspelled BATCH_RESEND_MAX_ORDER=3 would have a sweep mail all orders that wait.
"""

import re
from collections.abc import Callable, Iterable

import click

from batch_resend.cli.suggestions import did_you_mean
from batch_resend.errors import SettingsError

PREFIX = "BATCH_RESEND_"
# Kubernetes sets these in every container, for a Service of such a name ("Environment variables",
# kubernetes.io/docs/concepts/services-networking/service).
_OF_KUBERNETES = re.compile(
    rf"{PREFIX}(\w+_)?"
    r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


def check_variables(
    environment: Iterable[str],
    others: Iterable[str],
    command: click.Command | None,
    commands: Callable[[], Iterable[click.Command]],
) -> None:
    """Raise SettingsError where a variable is named like an option, and is none of any command.

    `others` are the variables that are no option of a command. The commands besides `command` are
    asked for only if there is a variable that it does not have: to import them takes time.
    """
    known = {*others, *_variables([command] if command else [])}
    unknown = sorted(
        name
        for name in set(environment) - known
        if name.upper().startswith(PREFIX) and not _OF_KUBERNETES.fullmatch(name)
    )
    if not unknown:
        return
    known |= _variables(commands())
    for name in unknown:
        if name not in known:
            # The prefix, which all have in common, would make any two alike.
            options = {one.removeprefix(PREFIX) for one in known}
            near = did_you_mean(name[len(PREFIX) :], options, PREFIX)
            raise SettingsError(f"there is no variable {name}.{near}")


def _variables(commands: Iterable[click.Command]) -> set[str]:
    return {
        param.envvar
        for command in commands
        for param in command.params
        if isinstance(param.envvar, str)
    }
