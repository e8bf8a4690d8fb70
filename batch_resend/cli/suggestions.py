"""The nearest name that there is, for one that there is not."""

from collections.abc import Iterable
from difflib import get_close_matches


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
