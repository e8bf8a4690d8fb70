"""A local CertCentral: to rehearse a run against, and for the tests. It sends no mail."""

from batch_resend.certcentral.simulator.behaviour import (
    SimulatorSettings,
    parse_fault,
    parse_latency,
)
from batch_resend.certcentral.simulator.books import Books
from batch_resend.certcentral.simulator.faults import FaultName
from batch_resend.certcentral.simulator.server import Simulator
from batch_resend.certcentral.simulator.world import World, WorldOrder

__all__ = [
    "Books",
    "FaultName",
    "Simulator",
    "SimulatorSettings",
    "World",
    "WorldOrder",
    "parse_fault",
    "parse_latency",
]
