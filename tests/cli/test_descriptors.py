"""How many requests may be in flight, by the descriptors that there are."""

import pytest

from batch_resend.cli.as_settings import within


@pytest.mark.parametrize(
    ("descriptors", "keys", "requests"), [(100, 1, 100), (100, 3, 33), (2, 3, 1), (-5, 1, 1)]
)
def test_keys_share_what_there_is_and_each_has_at_least_one(
    descriptors: int, keys: int, requests: int
) -> None:
    assert within(descriptors, keys) == requests
