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
    sent: str  # states, too: that somebody was mailed
    how: str  # words that may stand around these, beside those of `around`: `via console`
    endings: Sequence[str] = ("",)  # of each state, and of `sent`
    live: str = ""  # states in which a mail may be wanted all the same


# The first eleven are those of the CA's documentation (`languages.KNOWN_LOCALES`).
_LANGUAGES: Mapping[str, _Language] = {
    "en": _Language(
        "issued, reissued, cancel, canceled, cancelled, cancellation, approve, approved, "
        "resolved, solved, done, complete, completed, finished, closed, blocked, hold, pause, "
        "paused, stopped, archive, archived, delete, deleted, remove, removed, inactive, "
        "disable, disabled, expire, expired, revoke, revoked, rejected, refused, failed, "
        "skipped, omitted, drop, dropped, exclude, excluded, ignore, ignored, obsolete, void, "
        "voided, withdrawn, unneeded, denied, suspended, terminated, no longer needed, "
        "not needed, retired, decommissioned, discontinued, abandoned, validated, processed, "
        "handled",
        "is, are, was, has, have, had, been, were, already, just, now, to, be, do, date, when, "
        "at, on, by, time, yes no, yn, flag, mark, today, yesterday, the, all, and, "
        "certificate, certificates, cert, order, mail, email, customer, client, us, them, ok, "
        "jan, feb, mar, apr, may, jun, jul, aug, sep, oct, nov, dec",
        "sent, resent, mailed, emailed, remailed, reemailed, notified, renotified, contacted, "
        "informed, reminded, resend done, resend complete, resend completed",
        "via, with, using, through, from, in, console, portal, ui, gui, website, digicert, "
        "certcentral, hand, manual, manually, i, we, me, it, this, these, again, once, twice, "
        "earlier, before, morning, afternoon, evening, night, am, pm, utc, gmt, cet, "
        "cest, support, team, helpdesk, phone, mails, emails, message, messages, approval, dcv, "
        "approver, approvers",
        live="active, enabled, confirmed, verified, checked",
    ),
    "de": _Language(
        "ausgestellt, ausgegeben, herausgegeben, erteilt, erledigt, storniert, stornieren, "
        "storno, abgebrochen, abgesagt, gekündigt, gekuendigt, widerrufen, zurückgezogen, "
        "zurueckgezogen, zurückgewiesen, zurueckgewiesen, abgelehnt, abgewiesen, abgelaufen, "
        "abgeschlossen, fertig, fertiggestellt, gesperrt, blockiert, gelöscht, geloescht, "
        "löschen, loeschen, entfernt, entfernen, genehmigt, bewilligt, freigegeben, archiviert, "
        "gestoppt, pausiert, ausgesetzt, deaktiviert, inaktiv, ungültig, ungueltig, hinfällig, "
        "hinfaellig, obsolet, überholt, ueberholt, entfällt, entfaellt, nicht mehr nötig, "
        "nicht mehr noetig, nicht nötig, nicht noetig, nicht mehr benötigt, "
        "nicht mehr benoetigt, geschlossen, gelöst, geloest, bearbeitet, verarbeitet, "
        "validiert, übersprungen, uebersprungen, ausgelassen, ausgeschlossen, ignoriert, "
        "fehlgeschlagen, gescheitert, abgeschaltet, stillgelegt, eingestellt, raus, "
        "ausgeschieden, erl, erled, storn",
        "ist, sind, war, wurde, wurden, worden, hat, haben, sich, schon, bereits, inzwischen, "
        "mittlerweile, längst, laengst, leider, auch, alles, datum, am, um, von, vom, durch, "
        "seit, heute, gestern, der, die, das, zertifikat, zertifikate, auftrag, bestellung, "
        "antrag, vorgang, kunde, kunden, kundin, mail, e-mail, cert, order, ticket, wieder, "
        "ja nein, und, januar, februar, märz, april, mai, juni, juli, august, september, "
        "oktober, november, dezember",
        "gesendet, versandt, versendet, abgesendet, zugesandt, geschickt, verschickt, "
        "abgeschickt, zugeschickt, gemailt, angemailt, angeschrieben, benachrichtigt, "
        "kontaktiert, informiert",
        "per, über, ueber, mit, konsole, console, portal, weboberfläche, weboberflaeche, "
        "digicert, hand, händisch, haendisch, manuell, erneut, nochmal, nochmals, noch einmal, "
        "neu, selbst, habe, ich, wir, mir, uns, eben, gerade, vorhin, früh, frueh, nacht, abend, "
        "mittag, uhr, support, team, mails, e-mails, an, den, im, in",
        live="aktiv, aktiviert, bestätigt, bestaetigt, geprüft, geprueft, verifiziert",
    ),
    "es": _Language(
        "emitid, expedid, cancelad, anulad, aprobad, terminad, finalizad, completad, hech, "
        "resuelt, bloquead, rechazad, denegad, revocad, caducad, expirad, vencid, suspendid, "
        "cerrad, archivad, eliminad, borrad, retirad, procesad, validad, ignorad, excluid",
        "ya, está, fue, ha sido, han sido, el, la, por, certificado, pedido, orden, solicitud, "
        "cliente, correo, fecha",
        "enviad, reenviad, remitid, notificad, contactad, avisad",
        "manualmente, a mano, de nuevo, otra vez, nuevamente, vía, con, desde, consola, portal, "
        "web, mail, email, correos, hoy, ayer, a las, al, en",
        ("o", "a", "os", "as"),
        "activo, confirmado, verificado",
    ),
    "fr": _Language(
        "émis, délivré, annulé, approuvé, terminé, fait, traité, résolu, validé, bloqué, "
        "refusé, rejeté, révoqué, expiré, suspendu, clôturé, fermé, supprimé, retiré, échoué, "
        "ignoré, exclu, désactivé, inutile",
        "est, sont, a été, ont été, déjà, le, la, les, par, certificat, certificats, commande, "
        "demande, courriel, client, date",
        "envoyé, renvoyé, expédié, relancé, contacté, notifié, prévenu, informé",
        "à la main, manuellement, à nouveau, de nouveau, encore, via, avec, depuis, console, "
        "portail, mail, mails, e-mail, e-mails, hier, aujourd'hui, ce matin, cette nuit, à, au, "
        "aux",
        ("", "e", "s", "es"),
        "actif, active, confirmé, vérifié",
    ),
    "it": _Language(
        "emess, rilasciat, annullat, approvat, completat, terminat, conclus, chius, fatt, "
        "risolt, bloccat, rifiutat, respint, revocat, scadut, sospes, archiviat, eliminat, "
        "cancellat, rimoss, ritirat, evas, elaborat, validat, ignorat, esclus, fallit",
        "già, è stato, è stata, sono stati, risulta, il, dal, da, certificato, certificati, "
        "ordine, richiesta, cliente, data",
        "inviat, reinviat, spedit, mandat, notificat, contattat, avvisat",
        "a mano, manualmente, di nuovo, nuovamente, tramite, via, dalla, con, console, portale, "
        "mail, email, e-mail, oggi, ieri, alle, ore, al",
        ("o", "a", "i", "e"),
        "attivo, confermato, verificato",
    ),
    "ja": _Language(
        "発行済, 発行済み, 発行しました, 発行されました, 取消, 取り消し, 取消済, 取消済み, "
        "キャンセル, キャンセル済, キャンセル済み, 承認済, 承認済み, 完了, 処理済, 処理済み, "
        "対応済, 対応済み, 却下, 拒否, 失効, 失効済, 失効済み, 期限切れ, 停止, 保留, 削除, "
        "削除済, 削除済み, 不要",
        "すでに, 既に, 証明書, 注文, は, が, です, しました, されました, 顧客, お客様",
        "送信済, 送信済み, 送信しました, 送信されました, 送付済, 送付済み, 再送済, 再送済み, "
        "再送しました, 再送信済, 再送信済み, 再送信しました, 通知済, 通知済み, 連絡済, 連絡済み",
        "手動, 手動で, 手作業, 手作業で, コンソール, コンソールから, コンソールで, から, 経由, "
        "経由で, メール, メールは, メールを, 再度, を, で",
    ),
    "ko": _Language(
        "발급됨, 발급완료, 취소, 취소됨, 승인됨, 승인완료, 완료, 완료됨, 거부됨, 거절됨, "
        "폐지됨, 만료, 만료됨, 차단됨, 종료, 종료됨, 삭제됨, 처리됨, 처리완료, 보류, 불필요",
        "이미, 인증서, 주문, 고객",
        "발송됨, 발송완료, 전송됨, 전송완료, 재발송됨, 재발송완료, 재전송됨, 재전송완료, "
        "통지됨, 통보완료",
        "수동, 수동으로, 콘솔, 콘솔에서, 콘솔로, 메일, 이메일, 다시",
    ),
    "pt": _Language(
        "emitid, cancelad, anulad, aprovad, concluíd, terminad, finalizad, feit, resolvid, "
        "bloquead, rejeitad, recusad, revogad, expirad, vencid, suspens, fechad, encerrad, "
        "arquivad, eliminad, excluíd, removid, apagad, processad, validad, ignorad",
        "já, foi, está, pelo, pela, em, certificado, encomenda, pedido, cliente, data",
        "enviad, reenviad, notificad, contactad, contatad, avisad",
        "manualmente, à mão, de novo, novamente, via, com, console, consola, portal, mail, "
        "email, e-mail, hoje, ontem, às, ao",
        ("o", "a", "os", "as"),
        "ativo, confirmado, verificado",
    ),
    "ru": _Language(
        "выдан, выпущен, отменен, отмена, аннулирован, одобрен, утвержден, завершен, выполнен, "
        "готов, сделан, отклонен, отозван, истек, истекл, просрочен, заблокирован, закрыт, "
        "удален, обработан",
        "уже, был, была, было, сертификат, заказ, клиент",
        "отправлен, переотправлен, выслан, уведомлен",
        "вручную, повторно, снова, через, консоль, портал, письмо, письма, почта, сегодня, "
        "вчера, клиенту",
        ("", "\u0430", "\u043e", "\u044b"),  # in Cyrillic
        "активен, подтвержден, проверен",
    ),
    "zh_CN": _Language(
        "已签发, 已颁发, 已发行, 已取消, 取消, 已撤销, 已吊销, 已批准, 已核准, 已审批, 已通过, "
        "已完成, 完成, 已拒绝, 已过期, 已失效, 已关闭, 已删除, 已处理, 已暂停, 不需要, 无需",
        "证书, 订单, 已经, 客户, 了",
        "已发送, 已重发, 已重新发送, 已手动发送, 已手动重发, "
        "已通过控制台发送, 已通过控制台重发, 已通知, 已寄出",
        "手动, 手工, 人工, 通过, 控制台, 邮件, 再次, 在, 从",
    ),
    "zh_TW": _Language(
        "已簽發, 已頒發, 已核發, 已發行, 已取消, 取消, 已撤銷, 已吊銷, 已批准, 已核准, 已審批, "
        "已通過, 已完成, 完成, 已拒絕, 已過期, 已失效, 已關閉, 已刪除, 已處理, 已暫停, 不需要, "
        "無需",
        "憑證, 證書, 訂單, 已經, 客戶, 了",
        "已發送, 已重發, 已重新發送, 已手動發送, 已手動重發, "
        "已透過主控台發送, 已透過主控台重發, 已通知, 已寄出, 已寄送",
        "手動, 手工, 人工, 透過, 主控台, 控制台, 郵件, 再次, 在, 從",
    ),
    "nl": _Language(
        "uitgegeven, afgegeven, verstrekt, geannuleerd, afgerond, voltooid, klaar, gedaan, "
        "afgehandeld, verwerkt, goedgekeurd, afgekeurd, afgewezen, geweigerd, ingetrokken, "
        "verlopen, geblokkeerd, gesloten, gearchiveerd, verwijderd, geschorst, gestopt, "
        "opgelost, overgeslagen, genegeerd, niet meer nodig, niet nodig",
        "al, reeds, is, werd, werden, zijn, door, op, het, certificaat, bestelling, aanvraag, "
        "klant",
        "verzonden, herzonden, gestuurd, verstuurd, gemaild, gecontacteerd, geïnformeerd",
        "handmatig, met de hand, met, opnieuw, nogmaals, via, vanuit, de, console, portaal, "
        "mail, mails, e-mail, vandaag, gisteren, om, uur",
        live="actief, bevestigd, gecontroleerd",
    ),
    "sv": _Language(
        "utfärdat, utfärdad, avbruten, avbokad, annullerad, makulerad, godkänd, godkänt, "
        "avslutad, avslutat, slutförd, slutfört, färdig, färdigt, avvisad, nekad, återkallad, "
        "återkallat, utgången, spärrad, stängd, raderad, borttagen",
        "redan, är, har, blivit, certifikat, certifikatet, beställning, beställningen, kunden",
        "skickat, skickad, skickats, mejlat, mejlad, mailat, mailad, kontaktad, meddelad",
        "manuellt, för hand, igen, på nytt, om, via, från, konsolen, portalen, mejl, mail, "
        "mejlet, idag, igår, av, kl",
    ),
    "da": _Language(  # and Norwegian
        "udstedt, utstedt, annulleret, kansellert, godkendt, godkjent, afsluttet, avsluttet, "
        "færdig, ferdig, fuldført, fullført, afvist, avvist, tilbagekaldt, tilbakekalt, "
        "udløbet, utløpt, spærret, sperret, lukket, slettet",
        "allerede, er, blev, ble, har, certifikatet, sertifikat, sertifikatet, ordre, ordren, "
        "kunden",
        "sendt, gensendt, mailet, kontaktet, underrettet, varslet",
        "manuelt, i hånden, for hånd, igen, på nytt, via, fra, konsollen, konsolen, portalen, "
        "mail, e-mail, i dag, i går, af, av, kl",
    ),
    "pl": _Language(
        "wydan, wystawion, anulowan, zatwierdzon, zakończon, zrobion, załatwion, odrzucon, "
        "unieważnion, cofnięt, zablokowan, zamknięt, usunięt, wygasł, gotow",
        "już, został, została, zostało, jest, certyfikat, zamówienie, klient, przez",
        "wysłan, powiadomion",
        "ręcznie, ponownie, jeszcze raz, z konsoli, konsolę, przez konsolę, mail, e-mail, dziś, "
        "wczoraj, o",
        ("", "y", "a", "e", "o"),
    ),
    "cs": _Language(
        "vydán, vystaven, zrušen, stornován, schválen, dokončen, zamítnut, odvolán, zneplatněn, "
        "zablokován, uzavřen, smazán, vyřízen, vypršel, hotov",
        "již, už, byl, byla, bylo, je, certifikát, objednávka, zákazník",
        "odeslán, zaslán, poslán, přeposlán, upozorněn",
        "ručně, znovu, opět, přes, z konzole, konzoli, mail, e-mail, dnes, včera, v",
        ("", "o", "a", "y", "i"),
    ),
    "fi": _Language(
        "myönnetty, peruttu, peruutettu, hyväksytty, valmis, hylätty, mitätöity, vanhentunut, "
        "suljettu, poistettu, tehty",
        "jo, on, varmenne, tilaus, asiakas",
        "lähetetty, ilmoitettu",
        "käsin, manuaalisesti, uudelleen, uudestaan, konsolista, konsolin kautta, sähköposti, "
        "viesti, tänään, eilen, klo",
    ),
    "hu": _Language(
        "kiállítva, kiadva, törölve, lemondva, jóváhagyva, kész, elutasítva, visszavonva, "
        "lejárt, lezárva",
        "már, tanúsítvány, rendelés",
        "elküldve, újraküldve, értesítve",
        "kézzel, manuálisan, újra, ismét, konzolból, konzolról, e-mail, ma, tegnap",
    ),
    "tr": _Language(  # an i without its dot: see `letters_of`
        "düzenlendi, verildi, iptal, iptal edildi, onaylandi, tamamlandi, bitti, reddedildi, "
        "süresi doldu, kapatildi, silindi, engellendi",
        "zaten, sertifika, sipariş, müşteri",
        "gönderildi, bildirildi",
        "elle, manuel, manuel olarak, tekrar, yeniden, konsoldan, konsol, e-posta, mail, bugün, "
        "dün",
    ),
}
_ALL = (1 << 2 * len(_LANGUAGES)) - 1
BY = frozenset(
    ("by", "von", "durch", "par", "por", "pelo", "pela", "da", "dal", "dalla", "door", "av", "af",
     "przez", "per", "via", "über", "ueber", "tramite")
)  # fmt: skip
# Somebody with a name, or a way, of one or two words, which no vocabulary has.
_BY_SOMEBODY = tuple(
    re.compile(rf"\b(?:{'|'.join(sorted(BY))})(?:\s+[^\W\d_][\w.'\u2019-]*){{{words}}}")
    for words in (1, 2)
)
_YET_TO_BE_MAILED = re.compile(
    r"\bto be (?:re-?)?(?:sent|e?-?mailed|notified|contacted|informed)\b"
)


def letters_of(text: str) -> str:
    """Return the letters of a text, in lower case and without accents."""
    words = text.lower() if text.isascii() else plain(text).replace("\u0131", "i")  # of Turkish
    return _NO_LETTER.sub("", words)


def _split(words: str) -> Iterator[str]:
    yield from filter(None, map(letters_of, words.split(", ")))


@cache
def _live() -> frozenset[str]:
    return frozenset(chain.from_iterable(_split(one.live) for one in _LANGUAGES.values()))


@cache
def _words() -> Mapping[str, tuple[int, int]]:
    """Return each word with two sets of languages, as bits: of one around a state, of a state.

    Each language has two bits: for all states, and for those of mails, around which more words may
    stand. The CA's own words are of all of them.
    """
    around: Counter[str] = Counter()
    states = Counter(dict.fromkeys(map(letters_of, STATUSES.difference(WAITING)), _ALL))
    for number, of in enumerate(_LANGUAGES.values()):
        any_state, mailed = 1 << 2 * number, 2 << 2 * number
        for word in _split(of.around):
            around[word] |= any_state | mailed
        for word in _split(of.how):
            around[word] |= mailed
        for word in _with_endings(of.states, of):
            states[word] |= any_state
        for word in _with_endings(of.sent, of):
            states[word] |= any_state | mailed
        for word in _split(of.live):
            states[word] |= any_state
    return {word: (around[word], states[word]) for word in around.keys() | states.keys()}


def _with_endings(words: str, of: _Language) -> Iterator[str]:
    yield from (word + end for word in _split(words) for end in of.endings)


def is_state(letters: str) -> bool:
    """Whether letters say what has become of an order, and nothing else.

    They are words of one language then: of several, `validati` and `on` would be a state, too.
    """
    return _languages_of(letters)[1] > 0


def changes_nothing(letters: str) -> bool:
    """Whether letters are words that may stand beside a state, of one language."""
    return _languages_of(letters)[0] > 0


def _languages_of(letters: str) -> tuple[int, int]:
    """Return the languages of which all words are: without a state among them, and with one."""
    words, width = _words(), len(letters)
    reached = {0: (_ALL, 0)}  # where words end
    for begin in range(width):
        if begin not in reached:
            continue
        for end in range(begin + 1, width + 1)[:_LONGEST]:
            word = letters[begin:end]
            if word in words:
                before = reached.get(end, (0, 0))
                reached[end] = _with_word(before, *reached[begin], *words[word])
    return reached.get(width, (0, 0))


def _with_word(
    before: tuple[int, int], without: int, said: int, around: int, state: int
) -> tuple[int, int]:
    """Return the languages in which a word's end is reached; `before`: those by other words."""
    return (
        before[0] | (without & around),
        before[1] | (without & state) | (said & (around | state)),
    )


def is_wanted(text: str) -> bool:
    """Whether a text in lower case, which names a state, says that a mail is still to be sent."""
    return _YET_TO_BE_MAILED.search(text) is not None


def is_state_by_somebody(text: str) -> bool:
    """Whether a text in lower case, with one of `BY` in it, is a state but for a person's name.

    Not one in which a mail may be wanted all the same.
    """
    without = {letters_of(by.sub("", text)) for by in _BY_SOMEBODY}
    return any(is_state(one) and not is_live_state(one) for one in without)


def is_live_state(letters: str) -> bool:
    """Whether letters are a state in which a mail may be wanted all the same."""
    return letters in _live()
