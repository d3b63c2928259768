"""Customers are found by a part of their names, and nothing of a name can be read."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from referral import actions, people
from referral.crypto import KeyRing
from referral.deployment import Deployment
from referral.people import Customer, name_search
from referral.people.names import NamePart, asked_parts, folded, parts_of

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
texts = st.text(min_size=1, max_size=40)


@given(texts, st.integers(0, 39), st.integers(1, 39))
def test_whatever_stands_in_a_name_has_parts_of_it(name: str, start: int, length: int) -> None:
    query = folded(name)[start : start + length]
    if len(folded(query)) > 1:
        assert set(asked_parts(query)) <= parts_of(name)


@given(texts)
def test_a_name_is_found_by_its_first_letter(name: str) -> None:
    if first := folded(name)[:1]:
        assert set(asked_parts(first)) <= parts_of(name)


def test_nothing_asked_is_nothing_found() -> None:
    assert asked_parts("  \u3000 ") == []
    assert parts_of(" ") == set()


def add(d: Deployment, number: int, name: str | None) -> int:
    customer, _ = actions.add_customer(d, [people.external(f"M{number}")], name)
    return customer


def found(d: Deployment, query: str) -> list[int]:
    with d.db.read() as tx:
        return people.find_named(tx, d.keys, query).customers


def test_customers_are_found_by_parts_of_their_names(deployment: Deployment) -> None:
    wang, ann, mary = (
        add(deployment, n, name) for n, name in enumerate(("王小明", "Ann Müller", "Mary-Ann"))
    )
    add(deployment, 9, None)
    for query, expected in {
        "王": [wang],
        "小明": [wang],
        "王小明": [wang],
        "明": [],  # one letter begins a name
        "明小": [],
        "ann": [ann, mary],
        "ＡＮＮ ": [ann, mary],
        "n mü": [ann],
        "a": [ann],
        "ry-an": [mary],
        "mary ann": [],
        "%": [],
        "": [],
    }.items():
        assert found(deployment, query) == expected, query


def test_a_new_name_takes_the_place_of_the_old_one(deployment: Deployment) -> None:
    customer = add(deployment, 1, "Ann")
    actions.rename(deployment, customer, "Cleo")
    assert (found(deployment, "ann"), found(deployment, "cle")) == ([], [customer])
    actions.rename(deployment, customer, None)
    with deployment.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(NamePart)) == 0


@pytest.mark.parametrize("kept_name", [None, "Cleo"])
def test_whoever_is_kept_of_two_is_found_by_the_name_she_has(
    deployment: Deployment, kept_name: str | None
) -> None:
    kept, gone = add(deployment, 1, kept_name), add(deployment, 2, "Ann")
    actions.merge_customers(deployment, kept, gone, keep=kept, by="tests", reason="one person")
    assert found(deployment, "ann") == ([] if kept_name else [kept])
    assert found(deployment, "cleo") == ([kept] if kept_name else [])


def test_names_from_before_the_index_are_found_later(deployment: Deployment) -> None:
    named = deployment.keys.encrypt("Ann")
    rows = [{"id": n, "name_encrypted": named, "created_at": T0} for n in (1, 2, 3)]
    deployment.db.transact(lambda tx: tx.execute(sa.insert(Customer), rows))
    assert found(deployment, "ann") == []
    actions.follow_tree(deployment)
    assert found(deployment, "ann") == [1, 2, 3]


def test_names_are_found_with_every_key_that_is_still_listed(deployment: Deployment) -> None:
    old = add(deployment, 1, "Ann")
    newer = KeyRing(
        [*("an-older-key-for-the-tests-only", "the-newest-key-for-the-tests-only"), "x"]
    )
    with deployment.db.read() as tx:
        assert people.find_named(tx, newer, "ann").customers == [old]
        assert people.find_named(tx, KeyRing(["another"]), "ann").customers == []


def test_a_frequent_name_is_told_as_one(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_search, "FOUND_MAX", 2)
    for n in range(3):
        add(deployment, n, f"Ann {n}")
    with deployment.db.read() as tx:
        told = people.find_named(tx, deployment.keys, "ann")
    assert told.has_more
    assert len(told.customers) == 2


def test_no_part_of_a_name_can_be_read(deployment: Deployment) -> None:
    add(deployment, 1, "Ann")
    with deployment.db.read() as tx:
        stored = set(tx.scalars(sa.select(NamePart.part)))
    plain = {int.from_bytes(part.encode(), "big") for part in parts_of("Ann")}
    assert len(stored) == len(plain) == 4
    assert not stored & plain


def test_a_search_goes_by_the_index(deployment: Deployment) -> None:
    """Whatever else there is: the parts that are asked for are looked up."""
    for n in range(3):
        add(deployment, n, f"Ann {n}")
    statement = name_search._having([[1], [2]])
    with deployment.db.read() as tx:
        if deployment.db.is_sqlite:
            rows = tx.execute(_explained(statement, "EXPLAIN QUERY PLAN ", deployment)).all()
        else:
            tx.execute(sa.text("SET LOCAL enable_seqscan = off"))
            rows = tx.execute(_explained(statement, "EXPLAIN ", deployment)).all()
    plan = "\n".join(str(tuple(row)) for row in rows)
    assert "name_parts_1" in plan
    assert "SCAN name_parts" not in plan
    assert "Seq Scan on name_parts" not in plan


def _explained(statement: sa.Select, prefix: str, d: Deployment) -> sa.TextClause:  # type: ignore[type-arg]
    compiled = statement.compile(d.db.engine, compile_kwargs={"literal_binds": True})
    return sa.text(prefix + str(compiled))
