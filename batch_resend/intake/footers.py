"""What programs write below the rows of a list: how many there are, of which page, by whom."""

import re
from collections.abc import Iterable, Iterator

Numbered = tuple[int, list[str]]  # the number of a row in its file, and its cells

# By the words of programs alone: what a person writes there may say what is not to be sent.
_MADE = (
    r"generated|created|exported|printed|produced|erstellt|erzeugt|exportiert|gedruckt|generiert"
    r"|g\u00e9n\u00e9r\u00e9|export\u00e9|imprim\u00e9|generato|esportato|stampato|generado|exportado|impreso"
)
_COUNTED = (
    r"rows?|records?|orders?|lines?|entries|entry|zeilen?|datens\u00e4tze?|lignes?|righe|filas?"
    r"|registros?"
)
_FOOTER = re.compile(
    r"[-*=_~ ]*(?:"
    rf"(?:(?:report|list|file|bericht|liste|datei|rapport)\s+)?(?:{_MADE})(?:\s+[^@]*)?"
    r"|(?:end|ende|fin|fine|einde)\s+(?:of|der|des|du|de|del|della|van)\s[^@]*|eof"
    r"|(?:page|seite|p\u00e1gina|pagina|blatt)\s*\d+[^@]*|\d{1,4}\s*(?:/|of|von|sur|di|de)\s*\d{1,4}"
    r"|(?<=- )\d{1,4}(?= -)"
    rf"|\(?\d[\d.,]*\s+(?:{_COUNTED})(?:\s+(?:in|selected|returned|affected|exported)[^@]*)?\)?"
    r"|(?:strictly\s+)?confidential|vertraulich|confidentiel|riservato"
    r"|(?:copyright|\u00a9|powered\s+by)\s[^@]*"
    r")[-*=_~. ]*",
    re.IGNORECASE,
)


def is_footer(cells: Iterable[str]) -> bool:
    """Whether a row is one that a program writes below its rows."""
    texts = [text for cell in cells if (text := cell.strip())]
    return len(texts) == 1 and _FOOTER.fullmatch(texts[0]) is not None


def with_footers_apart(rows: Iterable[Numbered], footers: list[Numbered]) -> Iterator[Numbered]:
    """Yield rows; those below all others that are footers are added to `footers` instead."""
    for row in rows:
        if is_footer(row[1]):
            footers.append(row)
            continue
        yield from footers
        footers.clear()
        yield row
