"""Power cuts under deliveries, a few of them; tests/power/run makes as many as you like."""

import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "power"))

import power  # noqa: E402

ROUNDS = 30
MOST = 60  # rounds until a missing sync must have shown


def cut_power(campaign, rounds):
    seed = random.randrange(1 << 30)
    for number in range(rounds):
        print(campaign.round(seed + number))


def test_a_power_cut_loses_no_acknowledged_message():
    with power.Campaign() as campaign:
        cut_power(campaign, ROUNDS)
        assert campaign.acknowledged > ROUNDS


@pytest.mark.parametrize("sync", power.SYNCS)
def test_a_power_cut_shows_that_each_sync_is_needed(sync):
    with power.Campaign(without=sync) as campaign, pytest.raises(power.Lost):
        cut_power(campaign, MOST)
