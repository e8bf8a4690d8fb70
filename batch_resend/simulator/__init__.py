"""A local CertCentral: to rehearse a run against, and for the tests. It sends no mail."""

from batch_resend.simulator.answers import Provenance, Source
from batch_resend.simulator.faults import FaultName, Oddity, all_sources
from batch_resend.simulator.server import (
    Simulator,
    SimulatorSettings,
    parse_fault,
    parse_latency,
    parse_share,
)
from batch_resend.simulator.world import DAY_S, EVERYONE, Books, World, WorldOrder

__all__ = [
    "DAY_S",
    "EVERYONE",
    "Books",
    "FaultName",
    "Oddity",
    "Provenance",
    "Simulator",
    "SimulatorSettings",
    "Source",
    "World",
    "WorldOrder",
    "all_sources",
    "parse_fault",
    "parse_latency",
    "parse_share",
]
