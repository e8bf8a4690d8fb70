"""What users may ask of the simulator, and the types of the contract."""

from typing import Any

import pytest

from batch_resend.certcentral.contract import ErrorBody, ErrorItem
from batch_resend.simulator import (
    FaultName,
    Simulator,
    SimulatorSettings,
    parse_fault,
    parse_latency,
)
from tests.simulator.simulated import (
    client_of,
)

pytestmark = pytest.mark.asyncio

# --- where it listens -----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
async def test_it_listens_on_loopback_at_the_address_that_it_tells(host: str) -> None:
    async with client_of(host=host) as client:
        assert client.simulator.base_url.endswith("/services/v2")
        assert (await client.resend())[0] == 204


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
async def test_any_other_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        SimulatorSettings(host=host)


async def test_a_port_in_use_is_an_os_error_and_leaves_nothing_open() -> None:
    async with Simulator() as simulator:
        port = int(simulator.books_url.rstrip("/").rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await Simulator(SimulatorSettings(port=port)).__aenter__()


async def test_it_has_no_address_before_it_is_entered() -> None:
    with pytest.raises(RuntimeError, match="no address"):
        _ = Simulator().base_url


# --- what users write -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50ms", (0.05, 0.05)),
        ("10-300ms", (0.01, 0.3)),
        (" 10 - 300 ms ", (0.01, 0.3)),
        ("0.1s-2s", (0.1, 2.0)),
        ("500ms-2s", (0.5, 2.0)),
        ("0-1s", (0.0, 1.0)),
        ("0", (0.0, 0.0)),
    ],
)
async def test_a_latency_is_read_as_people_write_it(
    text: str, seconds: tuple[float, float]
) -> None:
    assert parse_latency(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "-", "fast", "10-", "-10ms", "300-10ms", "1-2-3ms", "1ms-", "2", "1-2", "1ms-2"]
)
async def test_what_is_not_a_latency_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a latency: write 50ms, 10-300ms or") as caught:
        parse_latency(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("500=0.05", (FaultName.SERVER_ERROR, 0.05)),
        ("drop=5%", (FaultName.DROP, 0.05)),
        (" hang = 100 % ", (FaultName.HANG, 1.0)),
        ("garbage=0", (FaultName.GARBAGE, 0.0)),
    ],
)
async def test_a_fault_is_read_with_its_share(text: str, fault: tuple[FaultName, float]) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text", ["", "drop", "drop=", "=5%", "dorp=5%", "drop=5", "drop=-1%", "drop=nan", "drop=101%"]
)
async def test_what_is_not_a_fault_is_refused_with_the_known_names(text: str) -> None:
    with pytest.raises(ValueError, match="is not a fault") as caught:
        parse_fault(text)
    assert all(name in str(caught.value) for name in FaultName)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"faults": {FaultName.DROP: 0.6, FaultName.HANG: 0.6}},
        {"faults": {FaultName.DROP: -0.1}},
        {"faults": {FaultName.DROP: float("nan")}},
        {"latency_s": (2.0, 1.0)},
        {"latency_s": (-1.0, 1.0)},
        {"latency_s": (0.0, float("inf"))},
    ],
)
async def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"makes no sense|shares of faults"):
        SimulatorSettings(**settings)


async def test_shares_that_add_up_to_one_but_for_rounding_are_taken() -> None:
    SimulatorSettings(faults=dict.fromkeys(list(FaultName)[:10], 0.1))
    SimulatorSettings(faults=dict.fromkeys(FaultName, 1 / len(FaultName)))


# --- the contract's types -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ("{}", ()),
        ('{"errors": [{"code": "a", "message": "b"}]}', (ErrorItem(code="a", message="b"),)),
        ('{"errors": [{"code": 7, "description": "b"}]}', (ErrorItem(message="b"),)),
        ('{"errors": [{"more": 1}], "more": 1}', (ErrorItem(),)),
    ],
)
async def test_an_error_body_is_read_leniently(body: str, errors: tuple[ErrorItem, ...]) -> None:
    assert ErrorBody.model_validate_json(body).errors == errors
