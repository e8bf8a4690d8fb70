"""Tables that there are only where several processes share a journal."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text

metadata = MetaData()

claims = Table(  # which session has which part of a run in hand
    "claims",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False),
    Column("run", Integer, nullable=False),
    Column("accounts", Text, nullable=False),  # sorted, one a line; "": the command's own
    Column("first", BigInteger, nullable=False),  # positions of requests
    Column("last", BigInteger, nullable=False),
    Column("session", Integer, nullable=False),
)

stops = Table(  # of whose requests nothing more is to be sent in a run
    "stops",
    metadata,
    Column("run", Integer, primary_key=True),
    Column("accounts", Text, primary_key=True),  # as in claims
    Column("reason", Text, nullable=False),
)
