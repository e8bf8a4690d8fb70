"""A mark with a name, initials or a date beside it is still the mark."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_resend.intake.signs import _STOP, is_mark
from batch_resend.intake.states import _LANGUAGES
from tests.intake.conftest import REFUSED, goes
from tests.intake.test_states import remarked

WORDS = sorted(
    chain(
        _STOP,
        ("exclude", "überspringen", "opt out", "do not mail", "noch nicht"),
        (
            word + end
            for of in _LANGUAGES.values()
            for words in (of.states, of.sent)
            for word in words.split(", ")
            for end in of.endings
        ),
    )
)
FORMS = (
    "{word}, {name}", "{word},{name}", "{word}; {name}", "{word} ({name})", "({name}) {word}",
    "{word} [{name}]", "{word} - {name}", "{word} \u2013 {name}", "{word} -- {name}",
    "{word} / {name}",
    "{word}/{name}", "{word} | {name}", "{word}: {name}", "{word}. {name}", "{word} @{name}",
    "{name}: {word}", "{name} - {word}", "{name}, {word}", "{name} / {word}",
    "{word}, 29.11., {name}", "{word} 29.11. ({name})", "29.11. {name}: {word}",
    "29.11.2026, {name}: {word}", "{word} - {name} 29.11.", "{word} {name}", "{word} {name} 29.11.",
    "{word}, {name}!", "{word}; {name}; ok", "{word}! {name}", "{word}={name}", "{word} *{name}*",
)  # fmt: skip
NAMES = ("Müller", "Kim", "MM", "K.M.", "Kim Lee", "Frau Müller", "Anna von Berg", "O\u2019Neil",
         "Meyer-Schmidt", "J. Smith")  # fmt: skip
INITIALS = ("MM", "KLM", "K.M.")
IN_ONE_PIECE = "{word} {name}"


def signed(word: str, form: str, name: str) -> str:
    """Return a mark with a name; without a sign between the two, capitals are somebody's."""
    return form.format(word=word, name=name if IN_ONE_PIECE not in form else INITIALS[0])


@pytest.mark.parametrize("form", FORMS)
def test_every_word_with_a_name_is_a_mark_in_every_form(form: str) -> None:
    for number, word in enumerate(WORDS):
        name = NAMES[number % len(NAMES)]
        for written in (word, word.capitalize()):
            text = signed(written, form, name)
            assert is_mark(text), text


@given(st.sampled_from(WORDS), st.sampled_from(FORMS), st.sampled_from(NAMES))
def test_so_it_is_with_every_name(word: str, form: str, name: str) -> None:
    assert is_mark(signed(word, form, name))


@pytest.mark.parametrize(
    "text",
    ["Erledigt, Müller", "erledigt (Müller)", "erledigt - Müller", "erledigt MM", "erledigt, MM",
     "Müller: erledigt", "erledigt; per Mail", "hat sich erledigt", "erl.", "erl. MM",
     "done (Kim)", "done, Kim", "per Konsole verschickt, Kim", "erledigt Müller", "done Kim",
     "erledigt per Mail", "done via console", "erledigt, per Telefon", "erledigt: ja", "Done: yes",
     "erledigt, mm", "erledigt (29.11., MM)", "MM 29.11.: storniert", "Kunde hat storniert (MM)",
     "ausgestellt am 12.11., Müller", "erledigt (Müller GmbH)", "erledigt, Ticket 4711",
     "sent, Kim, 02:05", "raus", "decommissioned", "abgeschaltet",
     "Mail missing.\ncancelled",
     "Mail missing.\nResolved: resent by Kim via console 28.11.",
     "完了(田中)", "已发送\uff08王伟\uff09", "완료, 김민수", "выдан (Иван)"],
)  # fmt: skip
def test_a_list_with_such_a_remark_is_refused(text: str) -> None:
    assert goes(remarked("", text)) == REFUSED
    numbers_alone = f'order_id;Bemerkung\n100200301;\n100200302;"{text}"\n'
    assert goes(numbers_alone) == REFUSED


@pytest.mark.parametrize(
    "text",
    ["Fertig GmbH", "FERTIG GMBH", "Done Deal Ltd", "Done Deal", "Open Society", "Open, Müller",
     "Complete, Inc.", "Approved (UK) Ltd", "Complete IT", "Closed AG", "Klaar B.V.", "Resolved UK",
     "Fertighaus Müller", "Fertig-Haus", "Done & Dusted", "Max Fertig", "Stop & Go Ltd",
     "Storno Versicherungen, Berlin", "Hold Baumaschinen, Müller", "Hand in Hand, Müller",
     "Mail will nicht ankommen", "Mail kam erst nach 3 Tagen an", "Mail missing.\nTicket 4711",
     "Müller", "Kim, Lee", "MM", "29.11., MM", "Müller: offen", "Müller: bitte senden",
     "sent, bounced", "sent (bounced)", "sent, Bounced", "erledigt? nein", "Erledigt: nein",
     "Done: No", "done (not yet)", "erledigt, bitte prüfen", "erledigt (teilweise)",
     "Erledigt: Fehler", "fertig, sobald die Mail da ist", "not done, Kim", "nicht erledigt, MM",
     "Müller: nicht ausgestellt", "Kim: not sent", "to be sent, Kim", "to be mailed (MM)",
     "Domain: expired", "Rechnung: storniert", "Website - closed", "Invoice cancelled, MM",
     "cancelled the meeting, Kim", "issued, but the customer wants another mail",
     "will be issued, Kim", "asked for it to be issued, Kim", "Kim asked: is it issued by now",
     "geprüft, Müller", "confirmed (Kim)", "active, MM", "pending, Kim", "resend, Kim",
     "call back, Monday", "Hauptstr. 5, Berlin", "wartet auf Freigabe, Müller", "erlaubt, MM",
     "已发送\uff0c未收到", "送信済み、まだ"],
)  # fmt: skip
def test_names_of_companies_and_what_goes_on_about_something_else_is_no_mark(text: str) -> None:
    assert not is_mark(text)
    assert len(goes(remarked("", text))) == 2
