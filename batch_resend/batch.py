"""The whole job as a library: plan rows into a run, send it, write its report.

    async with open_batch(settings) as batch:
        plan = await batch.plan([ListSource("orders.csv")])
        async with batch.send(plan) as sending:
            async for outcome in sending:
                ...
        summary = await batch.report(plan.run, Path("report"))

It prints nothing, sets up no logging and no signal handler, and holds no global state.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from batch_resend.certcentral import judge, open_certcentral, remedy
from batch_resend.errors import JournalError
from batch_resend.intake import RowSource
from batch_resend.journal import Journal, open_journal
from batch_resend.model import Outcome, Plan, RejectedRow, Row, Run, RunState
from batch_resend.report import Summary, write_report
from batch_resend.sending import Flow, Gate, Progress, RetryPolicy, Sender, WindowLimiter
from batch_resend.settings import DEFAULT_COOLDOWN_S, InDoubt, Settings
from batch_resend.windows import dictated_time
