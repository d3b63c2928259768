"""What the tests of credit share: many people, and who brought whom in."""

from referral import graph, people
from referral.graph import Referral
from referral.reports import referrals
from tests.cast import Brand, Person

Cast = tuple[Person, Person, Person]


def somebody(brand: Brand, number: int) -> Person:
    """One of the many others."""
    return Person(brand, people.email(f"person-{number}@example.com"))


def referrer_of(brand: Brand, person: Person) -> int | None:
    with brand.deployment.db.read() as tx:
        return graph.referrer_of(tx, person.customer)


def outcomes(brand: Brand, person: Person) -> list[str]:
    """What became of the links a person had opened, in the order of the openings."""
    with brand.deployment.db.read() as tx:
        found = referrals.reasons(tx.get_one(Referral, person.customer))
    return [touch.outcome for touch in found.touches]
