"""Trees as campaigns make them, for pictures: a few bring in most, and most bring in nobody.

Rows as the addresses of the pictures give them.
"""

from random import Random
from typing import Any

BEGAN = 1_767_225_600
"""2026-01-01, in seconds."""
HOUR = 3_600
SURNAMES = "王李张刘陈杨赵黄周吴徐孙"
NAMES = ("Alice", "Bob", "Charlotte", "Dmitri", "Eva Maria", "Wolfeschlegelsteinhausenbergerdorff")


def customers(count: int, seed: int = 7) -> list[list[Any]]:
    """Customers below number 1: id, referrer, name, time, direct, total, active, paying, value."""
    chance, parents = Random(seed), grown(count, seed)
    direct, total = below(parents)
    value = [chance.choice((0, 0, 2_900, 12_800, 99_900)) for _ in parents]
    worth = list(value)
    for at in range(count - 1, 0, -1):
        worth[parents[at]] += worth[at]
    rows = [
        [
            at + 1,
            parents[at] + 1 if at else None,
            name(chance, at),
            BEGAN + at * HOUR,
            direct[at],
            total[at],
            total[at] // 2,
            total[at] // 3,
            worth[at],
        ]
        for at in range(count)
    ]
    return sorted(rows, key=lambda row: -row[5])


def visitors(count: int, seed: int = 7, sharers: int = 3) -> list[list[Any]]:
    """Visitors below some first sharers: id, parent, name, time, direct, total, customers below,
    paying below, hop."""
    chance, parents = Random(seed), grown(count, seed)
    parents = [-1 if at < sharers else parents[at] for at in range(count)]
    direct, total = below(parents)
    hops = [0] * count
    for at in range(sharers, count):
        hops[at] = hops[parents[at]] + 1
    rows = [
        [
            f"v{at}",
            f"v{parents[at]}" if at >= sharers else None,
            name(chance, at) if at < sharers or chance.random() < 0.4 else None,
            BEGAN + at * HOUR,
            direct[at],
            total[at],
            total[at] // 3,
            total[at] // 9,
            hops[at],
        ]
        for at in range(count)
    ]
    return sorted(rows, key=lambda row: -row[5])


def grown(count: int, seed: int) -> list[int]:
    """The parent of each, by place; the first has -1. Who has many gets more."""
    chance = Random(seed)
    parents, ends = [-1], [0]
    for at in range(1, count):
        parent = chance.choice(ends) if chance.random() < 0.8 else chance.randrange(at)
        parents.append(parent)
        # Being chosen makes it likelier to be chosen again.
        ends.append(parent)
        if chance.random() < 0.15:
            ends.append(at)
    return parents


def below(parents: list[int]) -> tuple[list[int], list[int]]:
    """How many are directly below each, and in all."""
    direct, total = [0] * len(parents), [0] * len(parents)
    for at in range(len(parents) - 1, 0, -1):
        if parents[at] >= 0:
            direct[parents[at]] += 1
            total[parents[at]] += total[at] + 1
    return direct, total


def name(chance: Random, at: int) -> str:
    if chance.random() < 0.5:
        return f"{chance.choice(SURNAMES)}小姐 {at + 1}"
    return f"{chance.choice(NAMES)} {at + 1}"
