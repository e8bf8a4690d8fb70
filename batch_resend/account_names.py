"""How accounts are called where a person reads of them."""

from collections.abc import Iterable

OWN = "the command's own"  # of rows that name no account, where it is no profile's
_MOST = 5  # that are named


def accounts_in_words(names: Iterable[str | None], profile: str | None = None) -> str:
    """Return accounts in words; `profile`: what the command's own (None) is called, if anything."""
    called = list(dict.fromkeys(name or profile or OWN for name in names))
    if called == [OWN]:
        return f"{OWN} account"
    shown, more = called[:_MOST], len(called) - _MOST
    if more > 0:
        shown.append(f"{more:,} more")
    said = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    return f"account{'s' if len(called) > 1 else ''} {said}"
