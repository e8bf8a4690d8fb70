"""What has become of an order, in the words of people: one of which it is said may need no mail.

The one vocabulary of that, for headings, keys, cells and titles: the CA's own statuses, and what
people write for them. In a status column any word but those of a waiting order has its row skipped;
in a remark only these are known for what they are.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from batch_resend.intake.fields import plain
from batch_resend.listed import STATUSES, WAITING

_LONGEST = 18  # letters of a word
_NO_LETTER = re.compile(r"[\W\d_]+")


@dataclass(frozen=True, slots=True)
class _Language:
    states: str  # ", " between them
    around: str  # words that may stand before or behind a state, and change nothing; likewise
    endings: Sequence[str] = ("",)  # of each state
    live: str = ""  # states in which a mail may be wanted all the same


# The first eleven are those of the CA's documentation (`languages.KNOWN_LOCALES`).
_LANGUAGES: Mapping[str, _Language] = {
    "en": _Language(
        "issued, reissued, cancel, canceled, cancelled, cancellation, approve, approved, sent, "
        "resent, mailed, emailed, notified, contacted, resolved, solved, done, complete, "
        "completed, finished, closed, blocked, hold, pause, paused, stopped, "
        "archive, archived, delete, deleted, remove, removed, inactive, disable, disabled, "
        "expire, expired, revoke, revoked, rejected, refused, failed, skipped, "
        "omitted, drop, dropped, exclude, excluded, ignore, ignored, obsolete, void, "
        "voided, withdrawn, unneeded, denied, suspended, terminated, no longer needed, "
        "not needed, retired, validated, processed, handled",
        "is, are, was, has, have, had, been, were, already, just, now, to, be, do, date, when, "
        "at, on, by, time, yes no, yn, flag, mark, today, yesterday, the, all, and, certificate, "
        "certificates, cert, order, mail, email, customer, client, us, them, ok, jan, feb, mar, "
        "apr, may, jun, jul, aug, sep, oct, nov, dec",
        live="active, enabled, confirmed, verified, checked",
    ),
    "de": _Language(
        "ausgestellt, ausgegeben, herausgegeben, erteilt, erledigt, gesendet, versandt, "
        "versendet, abgesendet, geschickt, verschickt, abgeschickt, zugeschickt, gemailt, "
        "angeschrieben, benachrichtigt, kontaktiert, storniert, stornieren, storno, abgebrochen, "
        "abgesagt, gekündigt, gekuendigt, widerrufen, zurückgezogen, zurueckgezogen, "
        "zurückgewiesen, zurueckgewiesen, abgelehnt, abgewiesen, abgelaufen, abgeschlossen, "
        "fertig, fertiggestellt, gesperrt, blockiert, gelöscht, geloescht, löschen, loeschen, "
        "entfernt, entfernen, genehmigt, bewilligt, freigegeben, archiviert, gestoppt, pausiert, "
        "ausgesetzt, deaktiviert, inaktiv, ungültig, ungueltig, hinfällig, hinfaellig, obsolet, "
        "überholt, ueberholt, entfällt, entfaellt, nicht mehr nötig, nicht mehr noetig, "
        "nicht nötig, nicht noetig, nicht mehr benötigt, nicht mehr benoetigt, geschlossen, "
        "gelöst, geloest, bearbeitet, verarbeitet, validiert, übersprungen, uebersprungen, "
        "ausgelassen, ausgeschlossen, ignoriert, fehlgeschlagen, gescheitert",
        "ist, sind, war, wurde, wurden, worden, hat, haben, schon, bereits, inzwischen, "
        "mittlerweile, längst, laengst, leider, auch, alles, datum, am, um, von, vom, durch, seit, "
        "heute, gestern, der, die, das, zertifikat, zertifikate, auftrag, bestellung, antrag, "
        "vorgang, kunde, kunden, kundin, mail, e-mail, cert, order, ticket, wieder, ja nein, und, "
        "januar, februar, märz, april, mai, juni, juli, august, september, oktober, november, "
        "dezember",
        live="aktiv, aktiviert, bestätigt, bestaetigt, geprüft, geprueft, verifiziert",
    ),
    "es": _Language(
        "emitid, expedid, enviad, reenviad, cancelad, anulad, aprobad, terminad, finalizad, "
        "completad, hech, resuelt, bloquead, rechazad, denegad, revocad, caducad, expirad, "
        "vencid, suspendid, cerrad, archivad, eliminad, borrad, retirad, procesad, validad, "
        "notificad, contactad, ignorad, excluid",
        "ya, está, fue, ha sido, han sido, el, la, por, certificado, pedido, orden, solicitud, "
        "cliente, correo, fecha",
        ("o", "a", "os", "as"),
        "activo, confirmado, verificado",
    ),
    "fr": _Language(
        "émis, délivré, envoyé, renvoyé, annulé, approuvé, terminé, fait, traité, résolu, validé, "
        "bloqué, refusé, rejeté, révoqué, expiré, suspendu, clôturé, fermé, supprimé, "
        "retiré, échoué, ignoré, exclu, désactivé, contacté, notifié, prévenu, inutile",
        "est, sont, a été, ont été, déjà, le, la, les, par, certificat, certificats, commande, "
        "demande, courriel, client, date",
        ("", "e", "s", "es"),
        "actif, active, confirmé, vérifié",
    ),
    "it": _Language(
        "emess, rilasciat, inviat, annullat, approvat, completat, terminat, conclus, chius, fatt, "
        "risolt, bloccat, rifiutat, respint, revocat, scadut, sospes, archiviat, eliminat, "
        "cancellat, rimoss, ritirat, evas, elaborat, validat, notificat, contattat, ignorat, "
        "esclus, fallit",
        "già, è stato, è stata, sono stati, risulta, il, dal, da, certificato, certificati, "
        "ordine, richiesta, cliente, data",
        ("o", "a", "i", "e"),
        "attivo, confermato, verificato",
    ),
    "ja": _Language(
        "発行済, 発行済み, 発行しました, 発行されました, 送信済, 送信済み, 送信しました, "
        "送付済, 送付済み, 取消, 取り消し, "
        "取消済, 取消済み, キャンセル, キャンセル済, キャンセル済み, 承認済, 承認済み, 完了, "
        "処理済, 処理済み, 対応済, 対応済み, 却下, 拒否, 失効, 失効済, 失効済み, 期限切れ, 停止, "
        "保留, 削除, 削除済, 削除済み, 不要",
        "すでに, 既に, 証明書, 注文, は, が, です, しました, されました, 顧客, お客様",
    ),
    "ko": _Language(
        "발급됨, 발급완료, 발송됨, 발송완료, 전송됨, 전송완료, 취소, 취소됨, 승인됨, 승인완료, "
        "완료, 완료됨, 거부됨, 거절됨, 폐지됨, 만료, 만료됨, 차단됨, 종료, 종료됨, 삭제됨, "
        "처리됨, 처리완료, 보류, 불필요",
        "이미, 인증서, 주문, 고객",
    ),
    "pt": _Language(
        "emitid, enviad, reenviad, cancelad, anulad, aprovad, concluíd, terminad, finalizad, "
        "feit, resolvid, bloquead, rejeitad, recusad, revogad, expirad, vencid, suspens, fechad, "
        "encerrad, arquivad, eliminad, excluíd, removid, apagad, processad, validad, notificad, "
        "contactad, contatad, ignorad",
        "já, foi, está, pelo, pela, em, certificado, encomenda, pedido, cliente, data",
        ("o", "a", "os", "as"),
        "ativo, confirmado, verificado",
    ),
    "ru": _Language(
        "выдан, выпущен, отправлен, отменен, отмена, аннулирован, одобрен, утвержден, завершен, "
        "выполнен, готов, сделан, отклонен, отозван, истек, истекл, просрочен, заблокирован, "
        "закрыт, удален, обработан",
        "уже, был, была, было, сертификат, заказ, клиент",
        ("", "\u0430", "\u043e", "\u044b"),  # in Cyrillic
        "активен, подтвержден, проверен",
    ),
    "zh_CN": _Language(
        "已签发, 已颁发, 已发行, 已发送, 已取消, 取消, 已撤销, 已吊销, 已批准, 已核准, 已审批, "
        "已通过, 已完成, 完成, 已拒绝, 已过期, 已失效, 已关闭, 已删除, 已处理, 已暂停, 不需要, "
        "无需",
        "证书, 订单, 已经, 客户, 了",
    ),
    "zh_TW": _Language(
        "已簽發, 已頒發, 已核發, 已發行, 已發送, 已取消, 取消, 已撤銷, 已吊銷, 已批准, 已核准, "
        "已審批, 已通過, 已完成, 完成, 已拒絕, 已過期, 已失效, 已關閉, 已刪除, 已處理, 已暫停, "
        "不需要, 無需",
        "憑證, 證書, 訂單, 已經, 客戶, 了",
    ),
    "nl": _Language(
        "uitgegeven, afgegeven, verstrekt, verzonden, gestuurd, verstuurd, gemaild, geannuleerd, "
        "afgerond, voltooid, klaar, gedaan, afgehandeld, verwerkt, goedgekeurd, afgekeurd, "
        "afgewezen, geweigerd, ingetrokken, verlopen, geblokkeerd, gesloten, gearchiveerd, "
        "verwijderd, geschorst, gestopt, opgelost, overgeslagen, genegeerd, niet meer nodig, "
        "niet nodig",
        "al, reeds, is, werd, werden, zijn, door, op, het, certificaat, bestelling, aanvraag, "
        "klant",
        live="actief, bevestigd, gecontroleerd",
    ),
    "sv": _Language(
        "utfärdat, utfärdad, skickat, skickad, avbruten, avbokad, annullerad, makulerad, godkänd, "
        "godkänt, avslutad, avslutat, slutförd, slutfört, färdig, färdigt, avvisad, nekad, "
        "återkallad, återkallat, utgången, spärrad, stängd, raderad, borttagen",
        "redan, är, har, blivit, certifikat, certifikatet, beställning, beställningen, kunden",
    ),
    "da": _Language(  # and Norwegian
        "udstedt, utstedt, sendt, annulleret, kansellert, godkendt, godkjent, afsluttet, "
        "avsluttet, færdig, ferdig, fuldført, fullført, afvist, avvist, tilbagekaldt, "
        "tilbakekalt, udløbet, utløpt, spærret, sperret, lukket, slettet",
        "allerede, er, blev, ble, har, certifikatet, sertifikat, sertifikatet, ordre, ordren, "
        "kunden",
    ),
    "pl": _Language(
        "wydan, wystawion, wysłan, anulowan, zatwierdzon, zakończon, zrobion, załatwion, "
        "odrzucon, unieważnion, cofnięt, zablokowan, zamknięt, usunięt, wygasł, gotow",
        "już, został, została, zostało, jest, certyfikat, zamówienie, klient, przez",
        ("", "y", "a", "e", "o"),
    ),
    "cs": _Language(
        "vydán, vystaven, odeslán, zaslán, poslán, zrušen, stornován, schválen, dokončen, "
        "zamítnut, odvolán, zneplatněn, zablokován, uzavřen, smazán, vyřízen, vypršel, hotov",
        "již, už, byl, byla, bylo, je, certifikát, objednávka, zákazník",
        ("", "o", "a", "y", "i"),
    ),
    "fi": _Language(
        "myönnetty, lähetetty, peruttu, peruutettu, hyväksytty, valmis, hylätty, mitätöity, "
        "vanhentunut, suljettu, poistettu, tehty",
        "jo, on, varmenne, tilaus, asiakas",
    ),
    "hu": _Language(
        "kiállítva, kiadva, elküldve, törölve, lemondva, jóváhagyva, kész, elutasítva, "
        "visszavonva, lejárt, lezárva",
        "már, tanúsítvány, rendelés",
    ),
    "tr": _Language(  # an i without its dot: see `letters_of`
        "düzenlendi, verildi, gönderildi, iptal, iptal edildi, onaylandi, tamamlandi, bitti, "
        "reddedildi, süresi doldu, kapatildi, silindi, engellendi",
        "zaten, sertifika, sipariş, müşteri",
    ),
}
_ALL = (1 << len(_LANGUAGES)) - 1


def letters_of(text: str) -> str:
    """Return the letters of a text, in lower case and without accents."""
    words = text.lower() if text.isascii() else plain(text).replace("\u0131", "i")  # of Turkish
    return _NO_LETTER.sub("", words)


def _split(words: str) -> Iterator[str]:
    yield from filter(None, map(letters_of, words.split(", ")))


@cache
def _live() -> frozenset[str]:
    return frozenset(chain.from_iterable(_split(one.live) for one in _LANGUAGES.values()))


def _state_words(of: _Language) -> Iterator[str]:
    yield from (word + end for word in _split(of.states) for end in of.endings)
    yield from _split(of.live)


@cache
def _words() -> Mapping[str, tuple[int, int]]:
    """Return each word with two sets of languages, as bits: of one around a state, of a state.

    The CA's own words are of all of them.
    """
    around: Counter[str] = Counter()
    states = Counter(dict.fromkeys(map(letters_of, STATUSES.difference(WAITING)), _ALL))
    for number, of in enumerate(_LANGUAGES.values()):
        for word in _split(of.around):
            around[word] |= 1 << number
        for word in _state_words(of):
            states[word] |= 1 << number
    return {word: (around[word], states[word]) for word in around.keys() | states.keys()}


def is_state(letters: str) -> bool:
    """Whether letters say what has become of an order, and nothing else.

    They are words of one language then: of several, `validati` and `on` would be a state, too.
    """
    words, width = _words(), len(letters)
    # Where words end, and in which languages: without a state before, and with one.
    reached = {0: (_ALL, 0)}
    for begin in range(width):
        if begin not in reached:
            continue
        for end in range(begin + 1, width + 1)[:_LONGEST]:
            word = letters[begin:end]
            if word in words:
                before = reached.get(end, (0, 0))
                reached[end] = _with_word(before, *reached[begin], *words[word])
    return width in reached and reached[width][1] > 0


def _with_word(
    before: tuple[int, int], without: int, said: int, around: int, state: int
) -> tuple[int, int]:
    """Return the languages in which a word's end is reached; `before`: those by other words."""
    return (
        before[0] | (without & around),
        before[1] | (without & state) | (said & (around | state)),
    )


def is_live_state(letters: str) -> bool:
    """Whether letters are a state in which a mail may be wanted all the same."""
    return letters in _live()
