"""Pages from templates: what they may say, and how they say it.

A page is one file that asks nothing of anybody: styles and script are in it, and its content
security policy lets nothing else run or load. Whatever a list or a CA says is text.
"""

import re
from base64 import b64encode
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from batch_resend.clock import format_duration, timestamp
from batch_resend.listed import names_in_words
from batch_resend.report.summary import counted, in_words
from batch_resend.version import __version__
from batch_resend.visible import redacted, visible

_SHORT = 30  # characters: a word that fits a phone is never broken
# Behind which a longer one may be: a code, an address, a path.
_JOINTS = re.compile(r"(?<=[/|_@])(?=[^/|_@])|(?<=\.)(?=[^/|_.@]{5})")
_WORD = re.compile(r"\S+")


def render(template: str, values: dict[str, object], *, redact: bool = False) -> str:
    """Return a page; with `redact`, without e-mail addresses."""
    environment = _environment(redact)
    assets = {
        "version": __version__,
        "css": Markup(_asset("page.css")),  # noqa: S704 # ours
        "script": Markup(_asset("page.js")),  # noqa: S704 # ours
        "script_digest": b64encode(sha256(_asset("page.js").encode()).digest()).decode(),
    }
    return environment.get_template(template).render(assets | values)


@cache
def _asset(name: str) -> str:
    return (files("batch_resend.report") / name).read_text(encoding="utf-8")


@cache
def _environment(redact: bool) -> Environment:
    def shown(value: object) -> object:
        """Return a value as the page shows it; what is markup, is ours."""
        if isinstance(value, Markup) or not isinstance(value, str | Path):
            return value
        text = visible(str(value))
        return redacted(text) if redact else text

    def jointed(value: object) -> Markup:
        """Return a text whose words are whole where they are short, and break at their joints."""
        return Markup(_WORD.sub(_jointed, str(shown(str(value)))))  # noqa: S704 # escaped there

    def prose(value: str) -> Markup:
        """Return a sentence of ours, in which what is between backticks is code."""
        parts = map(jointed, value.split("`"))
        return Markup("").join(
            Markup("<code>{}</code>").format(part) if place % 2 else part
            for place, part in enumerate(parts)
        )

    environment = Environment(
        loader=PackageLoader("batch_resend.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda count: f"{count:,}",
        "duration": format_duration,
        "seconds": lambda s: f"{s * 1000:,.0f} ms" if s < 1 else f"{s:,.1f} s",
        "time": _time,
        "local": _local_time,
        "words": in_words,
        "counted": counted,
        "names": lambda one: names_in_words(one.approved, one.names),
        "jointed": jointed,
        "prose": prose,
    }
    return environment


def _jointed(word: re.Match[str]) -> str:
    if len(word[0]) <= _SHORT:
        text = escape(word[0])
        return f'<span class="whole">{text}</span>' if "-" in text else text
    return "<wbr>".join(escape(part) for part in _JOINTS.split(word[0]))


def _time(at: float) -> str:
    return timestamp(at)[:19].replace("T", " ") + " UTC"


def _local_time(at: float) -> str:
    """Return a moment in UTC, and beside it as the clock of this machine has it."""
    local = datetime.fromtimestamp(at).astimezone()
    if not local.utcoffset():
        return _time(at)
    return f"{_time(at)} ({local:%H:%M} {local.tzname()})"
