"""What the CA's codes mean in plain words, and what to do: one table for all who show it.

Statuses and codes are those of the CA's page "Errors" (dev.digicert.com), of recorded answers, and
of gateways before the CA. Those without a status are this program's own, for requests that brought
no answer (`FaultKind`); so is the code `page`, for an answer that is not the CA's.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from batch_resend.model import SkipReason

# The codes of what this program does not send: the CA would mail others for it, or may.
WOULD_WIDEN = "would_widen"
MAY_WIDEN = "may_widen"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an answer means, and what to do about it."""

    status: str | None  # of the answer, `x` stands for any digit; None: there was none
    code: str  # of the CA; `*` stands for any text, none included
    meaning: str
    remedy: str
    or_none: bool = False  # for answers without a code, too

    def is_of(self, http_status: int | None, code: str | None) -> bool:
        """Whether it explains an answer, or why there was none."""
        if self.status is None or http_status is None:
            is_status = self.status is None and http_status is None
        else:
            is_status = fnmatchcase(str(http_status), self.status.replace("x", "[0-9]"))
        is_code = fnmatchcase(code or "", self.code) or (self.or_none and not code)
        return is_status and is_code


# What stops a run of a key; the advice for the run knows it by these words.
KEY_REFUSED = "the CA refused the API key"
KEY_MAY_NOT = "the API key may not do this"
_BAD_KEY = "The CA refused the API key: it is mistyped, revoked, expired or of the other region."
_CHECK_KEY = (
    "Check that the key is whole, not revoked or expired, and of the right region (--region us|eu)."
)
_PAGE = (
    "This answer is not from the CA: a proxy, an IP rule or a CDN in between gave it. It says "
    "nothing about the order."
)
_CHECK_WAY = (
    "Look at the title of the page, then at your proxy, at the IP addresses that may use the key, "
    "and at --base-url; then run the command again."
)
_WRONG_URL = "The URL is not one of the CA's calls."
_CHECK_URL = "Check --base-url (it ends in /services/v2) or --region."
_MAY_HAVE_ACTED = "Send again with --in-doubt retry, if a second mail does no harm."

# fmt: off
EXPLANATIONS = (
    Explanation("2xx", "page", _PAGE, _CHECK_WAY),
    Explanation("3xx", "*",
        "The URL redirects elsewhere: it is not the CA's, or a login portal is in the way. The "
        "redirect is not followed, so that the key goes nowhere else.", _CHECK_URL),
    Explanation("400", "bad_request_format",
        "The CA could not read the request as it was made for this order.",
        "Look at what `check --out` shows for it; if it looks right, tell us what the CA said."),
    Explanation("400", "invalid_dns_method",
        "The CA does not accept the validation method: the order's domains are probably validated "
        "by DNS or by a file, not by e-mail.",
        "Change the order's validation method to e-mail in CertCentral, or remove the order from "
        "the list."),
    Explanation("400", "time_frame_too_long",
        "The CA was asked for changes that are older than seven days, and it has none of those.",
        "Ask for seven days at most, or order by order."),
    Explanation("400", "caa_*", "The domain's CAA records do not let this CA issue for it.",
        "Have the domain's owner correct the CAA records, then send again."),
    Explanation("400", "*email*", "The CA does not accept an address of the order.",
        "Use one of the five usual addresses (admin, administrator, webmaster, hostmaster, "
        "postmaster) at the domain or a parent, or a contact from its DNS, and send again."),
    Explanation("400", "*domain*",
        "The CA does not accept a domain of the order: it may be misspelled, approved already, or "
        "not part of the order.",
        "Compare the order's domains in CertCentral with the list, correct the list, send again."),
    Explanation("400", "*product*",
        "The CA does not resend the mails of this product by this call: it is not DV.",
        "Send its domains with --call domain-dcv, and for EV its approval with --call "
        "order-approval."),
    Explanation("400", "*locale*", "The CA does not know the language.",
        "Use another code in --locale or in the list, such as en, and send again."),
    Explanation("400", "page", _PAGE, _CHECK_WAY, or_none=True),
    Explanation("400", "*",
        "The CA will never accept this request as it is; its message says what it objects to. "
        "Orders that are issued, cancelled, not DV or not validated by e-mail end up here too.",
        "Look the order up in CertCentral; correct the list, or remove the order from it. What is "
        "not DV (OV, EV) is resent domain by domain: --call domain-dcv."),
    Explanation("401", "page", _PAGE, _CHECK_WAY),
    Explanation("401", "*", _BAD_KEY, _CHECK_KEY),
    Explanation("403", "access_denied|access_denied_invalid_key", _BAD_KEY, _CHECK_KEY),
    Explanation("403", "access_denied|missing_permission",
        "The API key may not do this: it may be a view-only key (role 102), or the order may be "
        "in another division.",
        "Look at the key's roles (in CertCentral, or by GET /user/me). Give it a role that "
        "manages orders, or use a key of the order's division."),
    Explanation("403", "page", _PAGE, _CHECK_WAY, or_none=True),
    Explanation("403", "*", "The CA does not allow this with this API key; its message says why.",
        "Look at the key's roles in CertCentral, and at the order's division and status."),
    Explanation("404", "not_found", _WRONG_URL, _CHECK_URL),
    Explanation("404", "*route*", _WRONG_URL, _CHECK_URL),
    Explanation("404", "*domain*",
        "The key's account has no such domain: it is misspelled, belongs to another account, or "
        "is registered there under its parent domain.",
        "Compare the domain with CertCentral's list of domains."),
    Explanation("404", "not_found|*",
        "The key's account has no such order: the number is wrong, or it belongs to another "
        "account or was not migrated to CertCentral.",
        "Compare the order number with CertCentral; send with the key of the order's account."),
    Explanation("404", "*",
        "The URL is not one of the CA's calls, or a proxy answered in the CA's place.",
        f"{_CHECK_URL} Then your proxy."),
    Explanation("408", "*", "The request did not arrive completely in time, and was not carried "
                            "out.",
        "Check the network, then run the command again."),
    Explanation("429", "*",
        "Too many requests: other programs may use the same key, or its limit is lower than "
        "--limit.",
        "Resume the run, or send what is left: a run pauses and slows down by itself. If it "
        "happens often, lower --limit."),
    *(
        Explanation(status, "*",
            "A gateway in front of the CA lost the connection: the CA may have acted anyway.",
            _MAY_HAVE_ACTED)
        for status in ("460", "499")
    ),
    Explanation("4xx", "page", _PAGE, _CHECK_WAY, or_none=True),
    Explanation("501", "*", _PAGE, _CHECK_WAY),
    Explanation("502", "*",
        "A gateway in front of the CA got no usable answer: the CA may have acted anyway.",
        _MAY_HAVE_ACTED),
    Explanation("504", "*",
        "A gateway in front of the CA got no answer in time: the CA may have acted anyway.",
        _MAY_HAVE_ACTED),
    Explanation("503", "*",
        "The CA is not available, because of maintenance (usually about two hours on the first "
        "weekend of a month) or a problem.", "Send what is left later."),
    *(
        Explanation(status, "*", "Something went wrong at the CA.",
            "Send what is left later; if it is always the same orders, ask the CA.")
        for status in ("50x", "510")
    ),
    Explanation("511", "*",
        "The network here requires a login (a portal) first.",
        "Log in to the network, or use another way to the CA; then run the command again."),
    Explanation("52x", "*",
        "A CDN in front of the CA got no usable answer from it: the CA may have acted anyway.",
        _MAY_HAVE_ACTED),
    Explanation("5xx", "*",
        "A gateway or CDN in front of the CA gave up, with a status of its own: the CA may have "
        "acted anyway.", _MAY_HAVE_ACTED),
    Explanation(None, WOULD_WIDEN,
        "Not sent: the CA knows none of the addresses for this domain, and would mail all the "
        "addresses it has for the domain instead.",
        "Use an address that the CA has for the domain (constructed, or in its DNS), or leave the "
        "address out to have all of them mailed."),
    Explanation(None, MAY_WIDEN,
        "Not sent: the CA did not say which addresses it has for this domain. If it has none of "
        "those given, it would mail all the others instead.",
        "Send it again with --preflight, once the reason is fixed; or leave the address out to "
        "have all of them mailed."),
    Explanation(None, SkipReason.COOLDOWN,
        "Another run had these mailed: within the cooldown (--cooldown), after this run was "
        "planned, or after the run was planned whose report wrote this list.",
        "To mail them once more: --again."),
    Explanation(None, SkipReason.LIST,
        "The list says that these wait for no mail.",
        "If they do: --all-statuses sends them."),
    Explanation(None, SkipReason.PREFLIGHT,
        "Asked before sending, the CA said that these wait for no mail.",
        "There is nothing to do."),
    Explanation(None, SkipReason.OTHER_CALL,
        "They may wait for mails, but this call does not send those: their product is not DV.",
        "Have `export --skipped-by RUN` write the domains of these alone, and send that list with "
        "--call domain-dcv. If your own list names product, domain and address, send it with "
        "--auto-call instead: that gives its addresses to the CA."),
    Explanation(None, SkipReason.UNDER_WAY,
        "Another run, which is under way, sends these.", "`batch-resend watch` follows it."),
    Explanation(None, "no_such_host",
        "The CA's name does not resolve: DNS is down, or the URL is wrong.",
        "Check --base-url and the network, then run the command again."),
    Explanation(None, "not_connected", "No connection to the CA was possible.",
        "Check --base-url, the network, the firewall and --trust-env, then run the command again."),
    Explanation(None, "proxy_refused", "The proxy did not connect to the CA.",
        "Check the proxy that the environment names and what it allows, then run the command "
        "again."),
    Explanation(None, "tls_refused",
        "No trusted connection was possible: this machine does not trust the certificate.",
        "Check --base-url, or name the authority that issued it with --ca-file."),
    Explanation(None, "stopped",
        "The run stopped before these had a connection: they were not sent.", "Resume the run."),
    Explanation(None, "lost",
        "The connection broke before the answer arrived: the CA may have acted anyway.",
        _MAY_HAVE_ACTED),
    Explanation(None, "timed_out", "No answer came within --timeout: the CA may have acted anyway.",
        _MAY_HAVE_ACTED),
    Explanation(None, "garbled", "What came back was not an HTTP answer: the CA may have acted "
                                 "anyway.",
        "Check --base-url; send again with --in-doubt retry, if a second mail does no harm."),
)
# fmt: on


def explain(http_status: int | None, code: str | None) -> Explanation | None:
    """Return what is known of an answer; None where nothing is."""
    return next((known for known in EXPLANATIONS if known.is_of(http_status, code)), None)
