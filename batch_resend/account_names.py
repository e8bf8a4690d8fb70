"""How accounts are called where a person reads of them."""

from collections.abc import Iterable

OWN = "the command's own"  # of rows that name no account, where it is no profile's
_MOST = 5  # that are named


def called(names: Iterable[str | None], profile: str | None = None) -> tuple[str, ...]:
    """Return what accounts are called, each once; `profile`: the command's own (None), if named."""
    return tuple(dict.fromkeys(name or profile or OWN for name in names))


def accounts_in_words(names: Iterable[str | None], profile: str | None = None) -> str:
    """Return accounts as a part of a sentence."""
    every = called(names, profile)
    if every == (OWN,):
        return f"{OWN} account"
    shown, more = [*every[:_MOST]], len(every) - _MOST
    if more > 0:
        shown.append(f"{more:,} more")
    said = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    return f"account{'s' if len(every) > 1 else ''} {said}"
