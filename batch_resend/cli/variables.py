"""Environment variables: none that may be meant as an option is passed over.

Passed over, a misspelled BATCH_RESEND_MAX_ORDER=3, or BATCH_RESEND_MAX_ORDERS=$COUNT without a
COUNT, would have a sweep mail all orders that wait.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

import click

from batch_resend.errors import SettingsError

PREFIX = "BATCH_RESEND_"
KEY_VARIABLE = "DIGICERT_API_KEY"
_NO_LETTER = re.compile(r"[^A-Z0-9]+")
# The prefix however its words are joined: BATCHRESEND_, BATCH-RESEND-.
_OWN_PREFIX = re.compile(r"BATCH[^A-Z0-9]*RESEND(?=.)")
_OWN_AND_MORE = re.compile(rf"{_OWN_PREFIX.pattern}[^A-Z0-9]")
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
    command: click.Command,
    commands: Callable[[], Iterable[click.Command]],
) -> None:
    """Raise SettingsError where a variable is named like an option, and is none of any command.

    A variable of `command` that is empty is an error, too: which limit was meant nobody knows.
    `others` are the variables that are no option of a command. The commands besides `command` are
    asked for only if there is a variable that it does not have: to import them takes time.
    """
    own = {*others, *_variables([command])}
    for name in sorted(own & environment.keys()):
        _refuse_empty(name, environment[name])
    unknown = {
        name: rest
        for name in sorted(environment.keys() - own)
        if (rest := _option_named(name)) is not None and not _OF_KUBERNETES.fullmatch(name)
    }
    known = own | _variables(commands()) if unknown else own
    # The prefix, which all have in common, would make any two alike.
    options = {one.removeprefix(PREFIX) for one in known}
    for name, rest in unknown.items():
        if name not in known and _is_meant_for_us(name, rest, options):
            meant = did_you_mean(rest, options, PREFIX)
            raise SettingsError(f"there is no variable {name}.{meant}")


def _refuse_empty(name: str, value: str) -> None:
    if not value or (not value.strip() and name not in _MAY_BE_BLANK):
        raise SettingsError(
            f"the variable {name} is empty: give it a value, or unset it. An empty limit does not "
            "mean no limit"
        )


def _is_meant_for_us(name: str, rest: str, options: Iterable[str]) -> bool:
    """Whether a variable has our prefix, or what comes behind one that is like it is an option."""
    is_own = _OWN_AND_MORE.match(name.upper()) is not None
    return is_own or bool(get_close_matches(rest, options, 1, _CLOSE))


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a sentence that names what a name may stand for, with a blank in front; or nothing.

    Capitals, and whether words are joined by `-` or by `_`, make no difference. A name that breaks
    off stands for the first one that begins so. `prefix` is what stands in front of every known
    name, and is not compared.
    """
    plain = {one.lower().replace("_", "-"): one for one in known}
    meant = name.lower().replace("_", "-")
    near = get_close_matches(meant, plain, 1, _CLOSE) or [
        one for one in sorted(plain) if meant and one.startswith(meant)
    ]
    return f" Did you mean {prefix}{plain[near[0]]}?" if near else ""


def _option_named(name: str) -> str | None:
    """Return what stands in a variable's name behind our prefix, or one that is close to it.

    None: the name is not like ours.
    """
    text = name.upper()
    if own := _OWN_PREFIX.match(text):
        return _NO_LETTER.sub("_", text[own.end() :]).strip("_")
    words = _NO_LETTER.split(text)
    if words[0]:  # not `_BATCH_...`: private to a shell or a library, by custom
        for count in range(1, min(4, len(words))):
            if _slips("".join(words[:count])) & _slips("BATCHRESEND"):
                return "_".join(words[count:])
    return None


def _slips(text: str) -> set[str]:
    """Return a text, and it without one letter.

    Two that differ by a letter, or by two that have changed places, have one of these in common.
    """
    return {text, *(text[:at] + text[at + 1 :] for at in range(len(text)))}


def _variables(commands: Iterable[click.Command]) -> set[str]:
    return {
        param.envvar
        for command in commands
        for param in command.params
        if isinstance(param.envvar, str)
    }
