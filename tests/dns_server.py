"""A DNS server on loopback, with whatever records and faults a test wants."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tests.connections import Connections

# What a name has: records such as `MX 10 mx.example.`, or a word for how the server fails.
SERVFAIL, REFUSED, SILENT, GARBAGE, TRUNCATED = "servfail", "refused", "silent", "garbage", "long"
_CODES = {SERVFAIL: dns.rcode.SERVFAIL, REFUSED: dns.rcode.REFUSED}
_TURNS = 20  # of the event loop until an answer leaves: questions beside it would be seen


@dataclass(eq=False)
class DnsServer:
    """What it has, and what it was asked. A name that it has not does not exist."""

    names: Mapping[str, Sequence[str]]
    port: int = 0
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)  # by name and kind
    waiting: int = 0  # questions that are not answered yet
    most_waiting: int = 0

    @property
    def address(self) -> str:
        """Address and port, as --dns-server takes them."""
        return f"127.0.0.1:{self.port}"

    def answer(self, wire: bytes, *, by_tcp: bool = False) -> bytes | None:
        """Return what is answered to a question; None: nothing ever."""
        query = dns.message.from_wire(wire)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        has = self.names.get(name)
        reply = dns.message.make_response(query, recursion_available=True)
        if has is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            return reply.to_wire()
        if SILENT in has:
            return None
        if GARBAGE in has:
            return wire[:2] + b"\xff" * 20
        for word in _CODES.keys() & set(has):
            reply.set_rcode(_CODES[word])
            return reply.to_wire()
        if TRUNCATED in has and not by_tcp:
            reply.flags |= dns.flags.TC
            return reply.to_wire()
        self._add_records(reply, question, [text for text in has if text != TRUNCATED])
        return reply.to_wire()

    def _add_records(
        self, reply: dns.message.Message, question: dns.rrset.RRset, has: Sequence[str]
    ) -> None:
        kind = dns.rdatatype.to_text(question.rdtype)
        texts = [text.partition(" ")[2] for text in has if text.partition(" ")[0] == kind]
        if texts:
            reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, *texts))
        for text in has:
            if text.startswith("CNAME ") and kind != "CNAME":
                target = text.removeprefix("CNAME ")
                reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", "CNAME", target))
                of_target = self.names.get(target.rstrip("."), ())
                chained = dns.rrset.from_text(target, 300, "IN", kind)
                self._add_records(reply, chained, of_target)

    def answered_by(self, transport: asyncio.DatagramTransport, wire: bytes, to: object) -> None:
        """Answer a question by UDP, after some turns of the event loop."""
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        loop = asyncio.get_running_loop()

        def later(turns: int) -> None:
            if turns:
                loop.call_soon(later, turns - 1)
                return
            self.waiting -= 1
            if (reply := self.answer(wire)) is not None and not transport.is_closing():
                transport.sendto(reply, cast("tuple[str, int]", to))

        later(_TURNS)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._server.answered_by(self._transport, data, addr)


@asynccontextmanager
async def dns_server(names: Mapping[str, Sequence[str]]) -> AsyncIterator[DnsServer]:
    """Answer questions on a port of loopback, by UDP and TCP."""
    server = DnsServer({name.lower(): has for name, has in names.items()})

    async def by_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length = int.from_bytes(await reader.readexactly(2))
            reply = server.answer(await reader.readexactly(length), by_tcp=True)
            if reply is not None:
                writer.write(len(reply).to_bytes(2) + reply)
                await writer.drain()

    connections = Connections(by_tcp)
    tcp = await asyncio.start_server(connections.accept, "127.0.0.1", 0)
    server.port = tcp.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(
        lambda: _Udp(server), local_addr=("127.0.0.1", server.port)
    )
    try:
        yield server
    finally:
        udp.close()
        await connections.end(tcp)
