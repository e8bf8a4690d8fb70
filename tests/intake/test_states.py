"""What people write of an order that needs no mail any more is seen in a remark."""

import json
from itertools import cycle

import pytest

from batch_resend.intake import Reading
from batch_resend.intake.languages import KNOWN_LOCALES
from batch_resend.intake.signs import is_mark, says_state
from batch_resend.intake.states import _LANGUAGES, _LONGEST, _words
from batch_resend.listed import STATUSES, WAITING
from tests.intake.conftest import REFUSED, goes, refusal

# As people write it, by a person, and not made of the program's own words.
REMARKS = {
    "en": ["Issued", "already issued", "certificate was issued on 12 Nov", "cancelled by customer",
           "customer has cancelled", "Mail sent today", "not needed", "order closed!"],
    "de": ["ausgestellt", "bereits ausgestellt", "schon ausgestellt", "ist schon ausgestellt",
           "Zertifikat wurde bereits am 12.11.2026 ausgestellt", "Kunde hat storniert", "storniert",
           "E-Mail gesendet", "leider abgelaufen", "gekuendigt", "GEKÜNDIGT", "nicht mehr nötig",
           "inzwischen erledigt", "schon issued", "Antrag zurückgezogen"],
    "es": ["emitido", "ya emitida", "certificado ya emitido", "ha sido cancelado", "ya aprobados"],
    "fr": ["émis", "déjà émise", "certificat délivré", "commande annulée", "a été envoyé",
           "expiré"],
    "it": ["emesso", "già emesso", "certificato rilasciato", "ordine annullato", "è stata inviata"],
    "ja": ["発行済み", "証明書は発行されました", "既にキャンセル済み", "不要"],
    "ko": ["발급됨", "이미 발급됨", "인증서 발급 완료", "주문 취소"],
    "pt": ["emitido", "já emitido", "certificado foi emitido", "pedido cancelado", "concluída"],
    "ru": ["выдан", "сертификат уже выдан", "заказ отменён", "отправлено"],
    "zh_CN": ["已签发", "证书已签发", "订单已取消", "不需要"],
    "zh_TW": ["已核發", "憑證已核發", "訂單已取消"],
    "nl": ["uitgegeven", "al uitgegeven", "certificaat is afgegeven", "bestelling geannuleerd"],
    "sv": ["redan utfärdat", "beställningen är avbruten"],
    "da": ["allerede udstedt", "ordren er annulleret", "sertifikatet er utstedt"],
    "pl": ["już wydany", "zamówienie anulowane"],
    "cs": ["již vydán", "objednávka zrušena"],
    "fi": ["jo myönnetty", "tilaus peruttu"],
    "hu": ["már kiállítva", "törölve"],
    "tr": ["zaten düzenlendi", "sipariş iptal edildi", "onayland\u0131"],
}  # fmt: skip
# Of mails that somebody has sent by hand.
MAILED = {
    "en": ["already mailed 02:05 via console", "mailed by hand 02:05", "resent by console",
           "mail already resent by Kim", "re-sent manually 02:05", "I mailed them at 02:05",
           "emailed again from the console", "notified by phone", "we re-mailed it by hand",
           "customer was notified by Kim Lee at 02:10", "Mails sent through the portal",
           "resend done 02:05", "sent this morning", "done by Kim", "cancelled by J. Smith",
           "approval mail resent via DigiCert console, 02:05 UTC"],
    "de": ["bereits per Konsole verschickt", "von Hand gemailt 02:05", "von Kim erneut gesendet",
           "schon manuell versendet", "per Konsole nochmal geschickt", "händisch angeschrieben",
           "Mail über das Portal verschickt", "habe ich um 02:05 Uhr gesendet"],
    "es": ["reenviado a mano", "ya enviado desde la consola", "enviado por Kim"],
    "fr": ["renvoyé à la main", "déjà envoyé via la console", "envoyé par Kim",
           "mail renvoyé manuellement à 02:05"],
    "it": ["inviato a mano", "già inviata dalla console", "reinviato da Kim"],
    "ja": ["手動で再送済み", "コンソールから送信済み", "メールを再送しました"],
    "ko": ["수동으로 재발송됨", "콘솔에서 발송됨"],
    "pt": ["reenviado manualmente", "já enviado pela consola", "enviado por Kim"],
    "ru": ["отправлено вручную", "уже отправлен через консоль"],
    "zh_CN": ["已手动发送", "已通过控制台发送", "邮件已重发"],
    "zh_TW": ["已手動發送", "郵件已重發"],
    "nl": ["handmatig verzonden", "al via de console verstuurd", "verstuurd door Kim"],
    "sv": ["skickat manuellt", "redan skickat via konsolen", "skickat av Kim"],
    "da": ["sendt manuelt", "allerede sendt via konsollen", "sendt af Kim"],
    "pl": ["wysłano ręcznie", "już wysłane przez Kim"],
    "cs": ["odesláno ručně", "již odesláno z konzole"],
    "fi": ["lähetetty käsin", "jo lähetetty konsolista"],
    "hu": ["kézzel elküldve", "már elküldve konzolból"],
    "tr": ["elle gönderildi", "konsoldan tekrar gönderildi"],
}  # fmt: skip
WRITTEN = [
    (language, text)
    for remarks in (REMARKS, MAILED)
    for language, texts in remarks.items()
    for text in texts
]


def remarked(*texts: str) -> str:
    """Return a list with addresses and remarks."""
    rows = (
        f'{100200300 + n};a{n}.example.com;admin@a{n}.example.com;"{text}"\n'
        for n, text in enumerate(texts, start=1)
    )
    return "order_id;domain;email;Bemerkung\n" + "".join(rows)


@pytest.mark.parametrize(("language", "text"), WRITTEN)
def test_a_remark_that_an_order_needs_no_mail_is_asked_about_in_every_form(
    language: str, text: str
) -> None:
    assert goes(remarked("", text)) == REFUSED, language
    assert goes(remarked("", text), Reading(ignored=frozenset(("Bemerkung",)))) != REFUSED
    record = {"order_id": 100200301, "domain": "a.example.com", "email": "admin@a.example.com"}
    assert goes(json.dumps({**record, "Bemerkung": text}) + "\n") == []


def test_in_json_only_the_record_that_says_so_is_rejected() -> None:
    said: list[dict[str, object]] = [
        {}, {"note": "mailed by hand"}, {"done": True}, {"domain 2": "b.example"}, {"note": ""},
    ]  # fmt: skip
    content = "".join(
        json.dumps({"order_id": number, "domain": "a.example", "email": "admin@a.example"} | more)
        + "\n"
        for number, more in enumerate(said, start=100200301)
    )
    assert goes(content) == ["100200301", "100200305"]


def test_every_language_of_the_ca_is_known() -> None:
    assert KNOWN_LOCALES <= _LANGUAGES.keys() == REMARKS.keys() == MAILED.keys()


@pytest.mark.parametrize("language", _LANGUAGES)
def test_every_word_for_a_state_is_a_mark_alone_and_among_words_that_change_nothing(
    language: str,
) -> None:
    of = _LANGUAGES[language]
    mailed = [word + end for word in of.sent.split(", ") for end in of.endings]
    states = [word + end for word in of.states.split(", ") for end in of.endings] + mailed
    for word in states:
        assert is_mark(word), word
        assert is_mark(f"{word}!".upper()), word
        assert says_state(f"{word}_2"), word
    for beside, word in zip(of.around.split(", "), cycle(states), strict=False):
        assert is_mark(f"{beside} {word} 12.11."), (beside, word)
        assert is_mark(f"{word} {beside}"), (beside, word)
    for beside, word in zip(of.how.split(", "), cycle(mailed), strict=False):
        assert is_mark(f"{beside} {word} 02:05"), (beside, word)
        assert is_mark(f"{word} {beside}"), (beside, word)
    for word in filter(None, of.live.split(", ")):
        assert says_state(word)
        assert not is_mark(word)


def test_so_is_every_status_of_the_cas_for_an_order_that_does_not_wait() -> None:
    for status in STATUSES.difference(WAITING):
        for text in (status, status.replace("_", " ").title(), f"schon {status}", f"ya {status}"):
            assert is_mark(text), text
    assert not any(map(is_mark, WAITING))


def test_no_word_is_longer_than_is_looked_for() -> None:
    assert max(map(len, _words())) == _LONGEST


@pytest.mark.parametrize(
    "text",
    ["pending", "ok", "alles ok", "certificate", "bereits", "Kunde", "offen", "wartet",
     "ausstehend", "not issued yet", "nicht ausgestellt?", "en attente", "pendiente",
     "in attesa", "発行", "发送", "reissue pending", "customer is done with his move",
     "Closed Doors Ltd", "holder", "Validation", "Notification", "conclusion", "Evasion GmbH",
     "Archives", "Anna Beholder", "undisclosed",
     "Zertifikat wird ausgestellt, sobald die Mail da ist"],
)  # fmt: skip
def test_other_words_are_none(text: str) -> None:
    assert not is_mark(text)
    assert len(goes(remarked("", text))) == 2


@pytest.mark.parametrize(
    "text",
    ["please resend", "resend", "to be mailed", "to be sent", "to be resent by Kim",
     "mail to be re-sent", "not mailed", "not sent by console", "not yet sent", "never sent",
     "no mail sent", "no mail received", "no email has arrived", "unsent", "needs to be resent",
     "should be sent by Kim", "will be mailed by Kim", "mail bounced", "notify Kim",
     "sent via console, bounced", "send via console", "resend by hand", "by hand", "via console",
     "manually", "Kim", "nicht gesendet", "noch nicht verschickt", "noch nicht erneut gesendet",
     "per Konsole verschicken", "bitte erneut senden", "wird erneut gesendet",
     "soll verschickt werden", "muss noch gemailt werden", "nicht per Konsole verschickt",
     "no enviado a mano", "aún no enviado", "pas encore envoyé", "à renvoyer",
     "non ancora inviato", "da inviare", "ainda não enviado", "не отправлено", "未发送", "未送信",
     "再送してください", "nog niet verzonden", "inte skickat", "ikke sendt", "nie wysłano",
     "neodesláno", "ei lähetetty", "confirmed by Kim", "geprüft von Kim", "asked by Kim",
     "Complete IT", "Resolved IT", "Hand in Hand Support", "Sentinel", "Resent Trading Ltd"],
)  # fmt: skip
def test_that_a_mail_is_wanted_or_missing_is_no_report_of_one(text: str) -> None:
    assert not is_mark(text)
    assert len(goes(remarked("", text))) == 2


@pytest.mark.parametrize(
    "text",
    ["never send", "never to be mailed", "do not resend by hand", "no mail", "no more mails",
     "no mails to them", "noch nicht verschicken", "noch nicht", "bitte nicht", "ikke send",
     "ikke sende", "не отправлять", "bitte weglassen", "nicht diese", "leave this one out",
     "wird nicht mehr gebraucht", "Kunde will das nicht mehr", "nein danke", "Finger weg",
     "erst nach Rücksprache"],
)  # fmt: skip
def test_what_tells_not_to_send_is_still_seen_beside_these(text: str) -> None:
    assert is_mark(text)


def test_it_is_said_how_many_cells_say_so_and_where_the_first_are() -> None:
    content = remarked("", "schon ausgestellt", "", "erledigt")
    assert refusal(content) == (
        "standard input: 2 cells of 'Bemerkung' ('schon ausgestellt' in line 3, 'erledigt' in line "
        "5) may say which orders need no mail, and are not read. Other cells there may say the "
        "same in other words: look at them, too. Remove those that need none, then add --ignore "
        '"Bemerkung"'
    )
    many = refusal(remarked(*["issued"] * 1_200))
    assert "1,200 cells of 'Bemerkung' ('issued' in line 2, " in many
    assert "'issued' in line 6 and 1,195 more) may" in many
    assert "1 cell of 'Bemerkung' ('erledigt' in line 3) may" in refusal(remarked("", "erledigt"))


def test_all_columns_that_say_so_are_named_at_once() -> None:
    head, row = "order_id,domain,email,note,sent\n", "100200301,a.example.com,admin@a.example.com"
    why = refusal(f"{head}{row},,x\n{row.replace('01,', '02,')},issued,\n")
    assert "1 cell of 'sent' ('x' in line 2)" in why
    assert "1 cell of 'note' ('issued' in line 3)" in why
    assert '--ignore "sent"' in why
    assert '--ignore "note"' in why
