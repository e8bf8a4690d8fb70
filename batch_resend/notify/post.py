"""One POST, tried a few times. What goes wrong is a text, not an exception."""

from dataclasses import dataclass

import aiohttp
import anyio

from batch_resend.version import __version__

TRIES_AFTER_S = (0.0, 1.0, 3.0)
TIMEOUT_S = 8.0  # of one try
_LEAST_ERROR = 300


@dataclass(frozen=True, slots=True)
class Post:
    """What is sent where."""

    url: str
    body: str  # JSON
    trust_env: bool


async def post(what: Post) -> str | None:
    """Send it; return None once it was taken, or why it was not, without the URL."""
    problem: str | None = None
    for wait_s in TRIES_AFTER_S:
        await anyio.sleep(wait_s)
        problem = await _try(what)
        if problem is None:
            return None
    return problem


async def _try(what: Post) -> str | None:
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=what.trust_env
            ) as session,
            session.post(
                what.url,
                data=what.body.encode(),
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": f"batch-resend/{__version__}",
                },
                allow_redirects=False,  # to wherever, with what the run came to
            ) as response,
        ):
            return None if response.status < _LEAST_ERROR else f"HTTP {response.status}"
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:.0f} s"
    except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
        return f"no connection ({type(error).__name__})"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return type(error).__name__  # its text may repeat the URL
