"""Power cuts under deliveries, a few of them; tests/power/run makes as many as you like."""

import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "power"))

import power  # noqa: E402
from brim import SANITIZED  # noqa: E402

ROUNDS = 5 if SANITIZED else 20
MOST = 60  # rounds until a missing sync, or enough acknowledged messages, must have shown


def power_cuts(campaign, rounds, capsys):
    seed = random.randrange(1 << 30)
    with capsys.disabled():
        print(f"\npower cuts on {campaign.name}: tests/power/run {rounds} --on {campaign.name} "
              f"--seed {seed}")
    for number in range(rounds):
        print(campaign.round(seed + number))
        yield number + 1


@pytest.mark.parametrize("kind", power.KINDS)
def test_a_power_cut_loses_no_acknowledged_message(kind, capsys):
    with power.Campaign(kind) as campaign:
        for done in power_cuts(campaign, MOST, capsys):
            if done >= ROUNDS and campaign.acknowledged > ROUNDS:
                return
        pytest.fail(f"{campaign.acknowledged} messages acknowledged in {MOST} rounds")


@pytest.mark.parametrize("kind, sync", [
    (name, sync) for name, kind in power.KINDS.items() for sync in kind.syncs])
def test_a_power_cut_shows_that_each_sync_is_needed(kind, sync, capsys):
    with power.Campaign(kind, without=sync) as campaign, pytest.raises(power.Lost):
        for _ in power_cuts(campaign, MOST, capsys):
            pass
