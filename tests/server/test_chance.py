"""Coins are drawn ahead, many at a time; each is used once."""

from grue.server.chance import DRAWN, Coins


def test_a_coin_is_drawn_with_many_others_and_tossed_once() -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return bytes(n & 1 for n in range(count))

    coins = Coins(random)
    assert sum(coins.toss() for _ in range(DRAWN)) == DRAWN // 2
    assert asked == [DRAWN]
    coins.toss()
    assert asked == [DRAWN, DRAWN]
