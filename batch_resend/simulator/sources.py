"""What all answers of the simulator rest on, as people read it: a line an answer, by its source."""

from collections.abc import Mapping, Sequence

from batch_resend.simulator.answers import Known, Provenance, Source
from batch_resend.simulator.faults import FAULTS
from batch_resend.simulator.oddities import Oddity, provenance

IN_WORDS: Mapping[Source, str] = {
    Source.RECORDED: "Recorded: real answers of the service, in public recordings",
    Source.DOCUMENTED: "Documented: the vendor's public pages",
    Source.CLIENTS: "Seen in clients: several public programs handle it, none shows an answer",
    Source.GUESSED: "Guessed: no source says it",
}


def all_sources() -> Mapping[Source, Sequence[Provenance]]:
    """Return every answer, fault and oddity of the simulator, by what it rests on."""
    every = [
        *(known.value for known in Known),
        *(fault.provenance(f"--fail {name}") for name, fault in FAULTS.items()),
        *(provenance(oddity) for oddity in Oddity),
    ]
    return {source: [each for each in every if each.source is source] for source in Source}
