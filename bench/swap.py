"""`swap_who`, `swap_number`, `swap_hit`: what an adversary with the server's disk and keys gains over a coin.

For each question 1,000 worlds with a secret each; `docs/swap-game.md` has the rules. The value is 2 P(right) - 1: 0 for
a coin, 1 for who is always right; its 95 % interval stands with the unit. `swap_who` is the worse of its two games a
day later; the others say what it is before that.
"""

from typing import Any, Final

from grue.lab.swap import Moment, Question, Result, run_all

TRIALS: Final = 1000
SEED: Final = 1

IDS: Final = {
    (Question.FIRST, Moment.IN_FLIGHT): "swap_who_first_in_flight",
    (Question.FIRST, Moment.DONE): "swap_who_first_same_minute",
    (Question.FIRST, Moment.DAY): "swap_who_first",
    (Question.TEXT, Moment.IN_FLIGHT): "swap_who_acquainted_in_flight",
    (Question.TEXT, Moment.DONE): "swap_who_acquainted_same_minute",
    (Question.TEXT, Moment.DAY): "swap_who_acquainted",
    (Question.NUMBER, Moment.DONE): "swap_number",
    (Question.HIT, Moment.DONE): "swap_hit",
}


def measure() -> list[dict[str, Any]]:
    """Some 1,200 worlds for each of four questions."""
    results = list(run_all(TRIALS, SEED))
    found = {IDS[one.question, one.moment]: one for one in results}
    worse = max(found["swap_who_first"], found["swap_who_acquainted"], key=lambda one: abs(one.advantage.value))
    return [_figure(name, one) for name, one in {**found, "swap_who": worse}.items()]


def _figure(name: str, one: Result) -> dict[str, Any]:
    guessed = one.advantage
    return {
        "id": name,
        "value": round(guessed.value, 3),
        "unit": f"advantage, 95 % in [{guessed.low:+.3f}, {guessed.high:+.3f}]",
        "reach": 0,
    }
