"""Answers of the CA, and what every verdict about one must be fit for."""

import json
import unicodedata

from batch_resend.certcentral.judge import MAX_MESSAGE
from batch_resend.model import Reply, Verdict

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT
HTML_404 = b"<html><head><title>404 Not Found</title></head><body><h1>nginx</h1></body></html>"


def errors(*items: object) -> bytes:
    """Return a body in the form of the CA's page "Errors"."""
    return json.dumps({"errors": items}).encode()


def error(code: str | None = None, message: str | None = None) -> bytes:
    said = {"code": code, "message": message}
    return errors({name: text for name, text in said.items() if text is not None})


def reply(
    status: int, body: bytes = b"", *, retry_after: str | None = None, location: str | None = None
) -> Reply:
    return Reply(status, body, NOW, retry_after, location)


def texts_of(verdict: Verdict) -> list[str]:
    return [text for text in (verdict.error_code, verdict.error_message) if text is not None]


def assert_fit_for_a_report(verdict: Verdict) -> None:
    for text in texts_of(verdict):
        assert len(text) <= MAX_MESSAGE
        assert len(text.splitlines()) <= 1
        assert text == text.strip()
        assert not [char for char in text if unicodedata.category(char) == "Cc"]
        text.encode()  # a lone surrogate would stop the journal and every report
