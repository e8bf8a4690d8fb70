"""Several hosts: chunks of runs, handed out by a queue in the journal's own database."""

from batch_resend.cluster.queue import Queue, SweepAt, open_queue
from batch_resend.cluster.status import Status, cluster_status
from batch_resend.cluster.worker import Worker

__all__ = [
    "Queue",
    "Status",
    "SweepAt",
    "Worker",
    "cluster_status",
    "open_queue",
]
