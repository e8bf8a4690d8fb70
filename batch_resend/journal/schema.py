"""The journal's tables.

    runs 1-n inputs 1-n rows n-1 requests 1-n attempts
                                 requests 1-1 outcomes
    runs 1-n starts 1-n attempts
    requests 1-1 checks
    starts 1-n pauses, 1-n reads, 1-n budgets

A request's number is its place in canonical order (order number, call, locale), so the same
requests have the same numbers in every run. Its `order_id` names a domain where the call is about
one. Times are seconds since the epoch, by the clock of the process that wrote them. That clock may
have been wrong: `starts` has, of each process, the start of the machine and how far its clock was
ahead of the steady time. `SHIFT_S` makes use of it.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    bindparam,
    case,
    false,
)

from batch_resend.journal.dialects import TEXT

SCHEMA_VERSION = 1

Record = Row[*tuple[Any, ...]]  # what a statement returns: its columns by name

metadata = MetaData()

schema_version = Table(
    "batch_resend_schema",
    metadata,
    Column("version", Integer, primary_key=True),
)

runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", TEXT, nullable=False, unique=True),
    Column("base_url", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),  # RunState
    Column("stop_reason", TEXT),
    Column("limits", TEXT, nullable=False),  # windows, separated by blanks
    Column("plan_digest", LargeBinary),  # of all requests' digests, in canonical order
    Column("settings", TEXT, nullable=False, server_default="{}"),  # of its last start, as JSON
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("session", Integer, nullable=False, server_default="0"),  # of whoever has it in hand
    Column(
        "distributed_by", Integer
    ),  # the start that dealt it out to workers; NULL: one sends it all
)

inputs = Table(
    "inputs",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("sha256", TEXT),
    Column("form", TEXT, nullable=False),  # how it was read: ListForm as a JSON object
    Column("rows", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

rows = Table(
    "rows",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True),  # over all inputs, from 1
    Column("input", Integer, nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("status", TEXT, nullable=False),  # RowStatus
    Column("order_id", TEXT),
    Column("locale", TEXT),
    Column("entries", TEXT),  # a JSON array of [domain, e-mail, e-mail domain]; "" for none
    Column("skip", TEXT),  # why its list says there is nothing to resend
    Column("notes", TEXT, nullable=False, server_default=""),  # Notes, separated by blanks
    Column("call", TEXT),  # Call; NULL: dv-resend
    Column("account", TEXT),  # NULL: the command's own
    Column("request", BigInteger),
    Column("problem", TEXT),  # Problem, of a rejected row
    Column("reason", TEXT),
    Column("raw", TEXT, nullable=False),
    sqlite_with_rowid=False,
)

requests = Table(
    "requests",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("position", BigInteger, nullable=False),  # the seq of its first row
    Column("order_id", TEXT, nullable=False),
    Column("locale", TEXT),
    Column("entries", TEXT, nullable=False),  # as in rows: sorted, each once
    Column("digest", LargeBinary, nullable=False),
    Column("doubted_before", Boolean, nullable=False, default=False),  # by another run
    Column("skip", TEXT),  # why its lists say there is nothing to resend
    Column("notes", TEXT, nullable=False, server_default=""),  # Notes, separated by blanks
    Column("call", TEXT),  # Call; NULL: dv-resend
    Column("account", TEXT),  # NULL: the command's own
    Index("requests_in_list_order", "run", "position"),
    sqlite_with_rowid=False,
)

starts = Table(  # a process that began to send a run, or resumed it; or to read (run 0)
    "starts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("boot", TEXT, nullable=False),  # names the start of the machine
    Column("offset_s", Float, nullable=False),  # its clock, less the steady time of that machine
    Column("began_at", Float, nullable=False),
    Column("limits", TEXT),  # as in runs: each start may have others
    Column("session", Integer, nullable=False, server_default="0"),  # 0: the only one there is
)

budgets = Table(  # whose windows the requests of an account count in, from a start on
    "budgets",
    metadata,
    Column("start", Integer, primary_key=True),
    Column("account", TEXT, primary_key=True),  # "": the command's own
    Column("budget", TEXT, nullable=False),  # a digest of CA and key, never the key
    sqlite_with_rowid=False,
)

# By how much later our clock would have said what the clock of a start said. Of two clocks that
# disagree, the one is believed by which a thing is younger: the safer reading, for windows and
# cooldown alike.
_AHEAD_S: ColumnElement[float] = bindparam("our_offset_s") - starts.c.offset_s
_SAME_BOOT = starts.c.boot == bindparam("our_boot")
SHIFT_S = case((_SAME_BOOT & (_AHEAD_S > 0), _AHEAD_S), else_=0.0)
# What turns a time by our clock into one by the clock of a start, where that can be known: a third
# process may read what we write into its rows by a clock that is neither.
TO_ITS_CLOCK_S = case((_SAME_BOOT, -_AHEAD_S), else_=0.0)

attempts = Table(
    "attempts",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("request", BigInteger, primary_key=True),
    Column("attempt", Integer, primary_key=True),  # from 1
    Column("start", Integer, nullable=False, server_default="0"),
    Column("digest", LargeBinary, nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("ruling", TEXT),  # Ruling; NULL with ended_at: no answer recorded yet
    Column("http_status", Integer),
    Column("error_code", TEXT),
    Column("error_message", TEXT),
    Index("attempts_of_digest", "digest", "ruling", "ended_at"),
    Index("attempts_by_end", "start", "ended_at"),
    sqlite_with_rowid=False,
)

reads = Table(  # requests that read something of the CA: they count in its windows too
    "reads",
    metadata,
    Column("start", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True),  # from 1
    Column("base_url", TEXT, nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("in_doubt", Boolean, nullable=False, server_default=false()),  # given up: it may arrive
    Index("reads_by_end", "start", "ended_at"),
    sqlite_with_rowid=False,
)

checks = Table(  # what the CA said later of orders that a run has sent
    "checks",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("request", BigInteger, primary_key=True),
    Column("asked_at", Float, nullable=False),
    Column("status", TEXT, nullable=False),  # in the CA's words
    Column("names", Integer),  # that the order is for; NULL: that was not asked
    Column("approved", Integer),  # of these
    sqlite_with_rowid=False,
)

answers = Table(  # what the CA said when asked about one order or domain; see `journal/checks.py`
    "answers",
    metadata,
    Column("budget", TEXT, primary_key=True),  # of the key that it was asked by
    Column("purpose", TEXT, primary_key=True),
    Column("subject", TEXT, primary_key=True),
    Column("found", TEXT, nullable=False),  # as JSON
    Column("asked_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

pruned_mails = Table(  # what is kept of runs that were pruned: how often orders were mailed
    "pruned_mails",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("base_url", TEXT, nullable=False),
    Column("order_id", TEXT, nullable=False),
    Column("mails", Integer, nullable=False),
    Column("last_at", Float),
    Column("budget", TEXT),  # of the account that rows named; NULL: the command's own, of base_url
)

pauses = Table(  # while requests did not flow, because of the CA
    "pauses",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("start", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1
    Column("began_at", Float, nullable=False),
    Column("ended_at", Float),  # NULL: until the run ended, or was cut off
    Column("until_at", Float),  # when the next request is to leave
    Column("reason", TEXT, nullable=False),
    Column("share", Float, nullable=False),  # of the windows, that was ours from then on
    Column("account", TEXT),  # NULL: the command's own
    sqlite_with_rowid=False,
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("request", BigInteger, primary_key=True),
    Column("status", TEXT, nullable=False),  # OrderStatus, but for not_attempted
    Column("http_status", Integer),
    Column("error_code", TEXT),
    Column("error_message", TEXT),
    sqlite_with_rowid=False,
)
