"""The environment variables that are options: one that is not known, or is empty, is an error.

Passed over, a misspelled BATCH_RESEND_MAX_ORDER=3, or BATCH_RESEND_MAX_ORDERS=$COUNT without a
COUNT, would have a sweep mail all orders that wait.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

import click

from batch_resend.errors import SettingsError

PREFIX = "BATCH_RESEND_"
_NAME = "BATCHRESEND"
_NO_LETTER = re.compile(r"[^A-Z0-9]+")
# The prefix however its words are joined: BATCHRESEND_, BATCH-RESEND-.
_OWN = re.compile(r"BATCH[^A-Z0-9]*RESEND(?=.)")
_OWN_AND_MORE = re.compile(rf"{_OWN.pattern}[^A-Z0-9]")
_CLOSE = 0.8  # of what is read as misspelled in its prefix: the ratio of difflib
# Kubernetes sets these in every container, for a Service of such a name ("Environment variables",
# kubernetes.io/docs/concepts/services-networking/service).
_OF_KUBERNETES = re.compile(
    r"BATCH_?RESEND_(\w+_)?"
    r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_MAY_BE_BLANK = frozenset(("BATCH_RESEND_DELIMITER",))


def check_variables(
    environment: Mapping[str, str],
    others: Iterable[str],
    command: click.Command | None,
    commands: Callable[[], Iterable[click.Command]],
) -> None:
    """Raise SettingsError where a variable is named like an option, and is none of any command.

    A variable of `command` that is empty is an error, too: which limit was meant nobody knows.
    `others` are the variables that are no option of a command. The commands besides `command` are
    asked for only if there is a variable that it does not have: to import them takes time.
    """
    own = {*others, *_variables([command] if command else [])}
    for name in sorted(own & environment.keys()):
        _refuse_empty(name, environment[name])
    unknown = {
        name: rest
        for name in sorted(environment.keys() - own)
        if (rest := _option_named(name)) is not None and not _OF_KUBERNETES.fullmatch(name)
    }
    if not unknown:
        return
    known = own | _variables(commands())
    # The prefix, which all have in common, would make any two alike.
    options = {one.removeprefix(PREFIX) for one in known}
    for name, rest in unknown.items():
        is_own = _OWN_AND_MORE.match(name.upper()) is not None
        if name in known or not (is_own or get_close_matches(rest, options, n=1, cutoff=_CLOSE)):
            continue  # another program's, which only resembles ours
        raise SettingsError(f"there is no variable {name}.{did_you_mean(rest, options, PREFIX)}")


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a sentence that names what a name may stand for, with a blank in front; or nothing.

    Capitals, and whether words are joined by `-` or by `_`, make no difference. `prefix` is what
    stands in front of every known name, and is not compared.
    """
    plain = {_plain(one): one for one in known}
    near = get_close_matches(_plain(name), plain, n=1)
    return f" Did you mean {prefix}{plain[near[0]]}?" if near else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _refuse_empty(name: str, value: str) -> None:
    if not value or (not value.strip() and name not in _MAY_BE_BLANK):
        raise SettingsError(
            f"the variable {name} is empty: give it a value, or unset it. What it would limit is "
            "not left without a limit"
        )


def _option_named(name: str) -> str | None:
    """Return what stands in a variable's name behind our prefix, or one that is close to it.

    None: the name is not like ours.
    """
    text = name.upper()
    if own := _OWN.match(text):
        return _NO_LETTER.sub("_", text[own.end() :]).strip("_")
    words = _NO_LETTER.split(text)
    if not words[0]:
        return None  # `_BATCH_...`: private to a shell or a library, by custom
    for count in (1, 2, 3):
        if len(words) > count and _is_one_slip_away("".join(words[:count]), _NAME):
            return "_".join(words[count:])
    return None


def _is_one_slip_away(text: str, wanted: str) -> bool:
    """Whether a letter is missing, one too many, another one, or two have changed places."""
    if abs(len(text) - len(wanted)) > 1:
        return False
    at = next(
        (at for at, two in enumerate(zip(text, wanted, strict=False)) if two[0] != two[1]),
        len(wanted),
    )
    rests = (
        (text[at + 1 :], wanted[at + 1 :]),
        (text[at + 1 :], wanted[at:]),
        (text[at:], wanted[at + 1 :]),
        (text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :], wanted[at:]),
    )
    return any(one == other for one, other in rests)


def _variables(commands: Iterable[click.Command]) -> set[str]:
    return {
        param.envvar
        for command in commands
        for param in command.params
        if isinstance(param.envvar, str)
    }
