"""The command line: parse, wire, show, choose the exit code. No logic of sending."""

from batch_resend.cli.main import main

__all__ = ["main"]
