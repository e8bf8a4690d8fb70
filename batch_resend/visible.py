"""Text of others, made such that it does nothing to whoever, or whatever, shows it."""


def visible(text: str) -> str:
    """Return text in which what cannot be seen, or turns the direction of writing, is spelled."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible_lines(text: str) -> str:
    """Return text of several lines, each of them visible."""
    return "\n".join(map(visible, text.split("\n")))
