"""An observer at the gateway who refuses, cuts, holds up and restarts, over clients on a simulated clock."""

import statistics

import pytest

from bench.linked import by_chance, linked

SEEDS = range(12)


@pytest.mark.parametrize(("readers", "mailboxes"), [(5, 6), (3, 40)])
def test_a_gateway_that_disturbs_names_a_readers_mailboxes_no_better_than_by_chance(
    readers: int, mailboxes: int
) -> None:
    """Also with more of them than there are polls at once, which take turns."""
    seeds = SEEDS if mailboxes == 6 else SEEDS[:3]
    named = statistics.mean(linked(seed, readers, mailboxes, 1_800.0) for seed in seeds)
    assert named <= by_chance(readers, mailboxes) + 0.1


def test_a_client_that_sent_for_all_its_conversations_together_would_be_noticed_by_that() -> None:
    """So the figure above is no figure of an observer who sees nothing."""
    named = statistics.mean(linked(seed, spread=0.0) for seed in SEEDS[:5])
    assert named >= by_chance() + 0.15
