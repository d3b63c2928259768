"""Many rows at once, in few statements that go by the indexes."""

from datetime import UTC, datetime

import sqlalchemy as sa

from referral.db import run
from referral.db.bulk import among, numbers
from referral.deployment import Deployment
from referral.people import Customer

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ASKED = sa.select(Customer.id).where(among(Customer.id, "customers")).order_by(Customer.id)
OTHERS = sa.select(Customer.id).where(~among(Customer.id, "customers")).order_by(Customer.id)


def test_rows_whose_number_is_among_some_are_found_and_so_are_the_others(
    deployment: Deployment,
) -> None:
    rows = [{"id": n, "created_at": T0} for n in range(1, 6)]
    deployment.db.transact(lambda tx: tx.execute(sa.insert(Customer), rows))
    with deployment.db.read() as tx:
        some = numbers(tx, [2, 4, 99])
        assert run(tx, ASKED, customers=some).scalars().all() == [2, 4]
        assert run(tx, OTHERS, customers=some).scalars().all() == [1, 3, 5]
        assert run(tx, ASKED, customers=numbers(tx, [])).scalars().all() == []


def test_numbers_are_looked_up_and_not_looked_for(deployment: Deployment) -> None:
    with deployment.db.read() as tx:
        if deployment.db.is_sqlite:
            explain = "EXPLAIN QUERY PLAN "
        else:
            tx.execute(sa.text("SET LOCAL enable_seqscan = off"))
            explain = "EXPLAIN "
        compiled = ASKED.compile(deployment.db.engine, compile_kwargs={"render_postcompile": True})
        asked = (
            str(compiled).replace("?", ":customers").replace("%(customers)s::VARCHAR", ":customers")
        )
        plan = tx.execute(sa.text(explain + asked), {"customers": numbers(tx, [1])}).all()
    said = "\n".join(str(tuple(row)) for row in plan)
    assert "SCAN customers" not in said
    assert "Seq Scan on customers" not in said
