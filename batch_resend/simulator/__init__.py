"""A local CertCentral: to rehearse a run against, and for the tests. It sends no mail."""

from batch_resend.simulator.answers import Provenance, Source
from batch_resend.simulator.behaviour import (
    SimulatorSettings,
    parse_fault,
    parse_latency,
)
from batch_resend.simulator.books import Books
from batch_resend.simulator.faults import FAULTS, FaultName
from batch_resend.simulator.mailing import EVERYONE
from batch_resend.simulator.oddities import Oddity
from batch_resend.simulator.server import Simulator
from batch_resend.simulator.sources import IN_WORDS, all_sources
from batch_resend.simulator.world import World, WorldOrder

__all__ = [
    "EVERYONE",
    "FAULTS",
    "IN_WORDS",
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
]
