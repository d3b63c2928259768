"""A small model of what people are owed, held and paid, to compare the service with.

It knows nothing of the service: people are numbers, rewards are lots, and a campaign is the handful
of promises below.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

CLAIM, FRIEND, ORDER, CARD, WELCOME = (
    "claim:person:points",
    "referred_first_purchase:both:points:least-2000",
    "order:person:points",
    "nth_claim:person:points:every-3",
    "first_claim:person:credit",
)
RULES = [
    {"when": "claim", "for": "person", "amount": 20},
    {"when": "referred_first_purchase", "for": "both", "amount": 50, "least": 2000},
    {"when": "order", "for": "person", "amount": {"basis_points": 500, "cap": 150}},
    {
        "when": "nth_claim",
        "for": "person",
        "nth": 3,
        "every": True,
        "amount": 30,
        "limits": {"per_person": 2},
    },
    {
        "when": "first_claim",
        "for": "person",
        "what": "credit",
        "amount": 40,
        "limits": {"total": 3},
    },
]
BUDGETS = {"points": 700, "CNY": 100}
FAR = datetime.max.replace(tzinfo=UTC)
"""Of what does not expire yet, as it is not available."""
HOLD, LASTS, BACK_LASTS = timedelta(days=2), timedelta(days=10), timedelta(days=30)
PRICE, STOCK = 30, 4

Key = tuple[int, str]
"""Whose, and of which unit."""


@dataclass(eq=False)
class Lot:
    """A reward."""

    number: int
    event: str
    rule: str
    depth: int
    holder: int
    unit: str
    amount: int
    available_at: datetime
    left: int
    taken: int = 0
    lapsed: int = 0
    state: str = "pending"
    expires_at: datetime = FAR

    @property
    def spent(self) -> int:
        return self.amount - self.left - self.taken - self.lapsed


@dataclass
class Voucher:
    holder: int
    lots: list[Lot]
    amount: int
    made_at: datetime
    is_open: bool = True


@dataclass
class Person:
    """What is known of a customer but for rewards."""

    referrer: int | None = None
    is_settled: bool = False
    claims: list[int] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


class Model:
    """Everybody's rewards, and what became of them."""

    def __init__(self) -> None:
        self.people: dict[int, Person] = {}
        self.lots: list[Lot] = []
        self.budget = Counter(BUDGETS)
        self.owed: Counter[Key] = Counter()
        self.vouchers: list[Voucher] = []
        self.stock = STOCK
        self.became: dict[int, int] = {}

    def current(self, number: int) -> int:
        while number in self.became:
            number = self.became[number]
        return number

    def person(self, number: int) -> Person:
        return self.people.setdefault(self.current(number), Person())

    def held(self, holder: int, unit: str, state: str) -> int:
        return sum(
            lot.left
            for lot in self.lots
            if (lot.holder, lot.unit, lot.state) == (holder, unit, state)
        )

    # Purchases

    def claim(
        self, number: int, claim: int, referrer: int | None, now: datetime
    ) -> list[tuple[str, int]]:
        """What was promised and withheld: rule and whom it would have gone to."""
        who, person, event = self.current(number), self.person(number), f"claim:{claim}"
        person.claims.append(claim)
        is_first = self._settle(person, event, referrer)
        promised = [(CLAIM, who, 0, "points", 20)]
        promised += self._friend(who, person) if is_first else []
        last = max((self._claim_of(lot) for lot in self._cards(who)), default=0)
        if sum(each > last for each in person.claims) >= 3:
            promised.append((CARD, who, 0, "points", 30))
        if is_first:
            promised.append((WELCOME, who, 0, "CNY", 40))
        return self._grant(event, promised, now)

    def order(
        self, number: int, event: str, amount: int, referrer: int | None, now: datetime
    ) -> list[tuple[str, int]]:
        who, person = self.current(number), self.person(number)
        is_first = self._settle(person, event, referrer)
        promised = self._friend(who, person) if is_first and amount >= 2000 else []
        if share := min(amount * 5 // 100, 150):
            promised.append((ORDER, who, 0, "points", share))
        return self._grant(event, promised, now)

    def _settle(self, person: Person, event: str, referrer: int | None) -> bool:
        person.events.append(event)
        is_first = not person.is_settled
        if is_first:
            person.is_settled, person.referrer = True, referrer
        return is_first

    @staticmethod
    def _friend(who: int, person: Person) -> list[tuple[str, int, int, str, int]]:
        if person.referrer is None:
            return []
        return [(FRIEND, who, 0, "points", 50), (FRIEND, person.referrer, 1, "points", 50)]

    def _cards(self, who: int) -> list[Lot]:
        return [lot for lot in self.lots if lot.rule == CARD and lot.holder == who]

    @staticmethod
    def _claim_of(lot: Lot) -> int:
        return int(lot.event.partition(":")[2])

    def _grant(
        self, event: str, promised: list[tuple[str, int, int, str, int]], now: datetime
    ) -> list[tuple[str, int]]:
        withheld = []
        for rule, who, depth, unit, amount in promised:
            full = (rule == CARD and len(self._cards(who)) >= 2) or (
                rule == WELCOME and sum(lot.rule == WELCOME for lot in self.lots) >= 3
            )
            if full or self.budget[unit] < amount:
                withheld.append((rule, who))
                continue
            self.budget[unit] -= amount
            due = now + HOLD
            lot = Lot(len(self.lots), event, rule, depth, who, unit, amount, due, amount)
            self.lots.append(lot)
        return withheld

    # Time

    def pass_nightly(self, now: datetime) -> None:
        for lot in self.lots:
            if lot.state == "pending" and lot.available_at <= now:
                paid = min(self.owed[lot.holder, lot.unit], lot.left)
                self.owed[lot.holder, lot.unit] -= paid
                lot.left -= paid
                lot.state = "available"
                lot.expires_at = now + LASTS
        for lot in self.lots:
            if lot.state == "available" and lot.left and lot.expires_at <= now:
                lot.lapsed += lot.left
                lot.left = 0
                lot.state = "expired"

    # Taking back

    def take_back(
        self, event: str, share: Fraction, only: Callable[[Lot], bool] = lambda lot: True
    ) -> None:
        for lot in self.lots:
            if lot.event == event and only(lot):
                due = int(lot.amount * share + Fraction(1, 2)) - lot.taken
                if due > 0:
                    self._take_back(lot, due)

    def _take_back(self, lot: Lot, due: int) -> None:
        self.budget[lot.unit] += due
        unspent = min(due, lot.left)
        lot.left -= unspent
        lapsed = min(due - unspent, lot.lapsed)
        lot.lapsed -= lapsed
        spent = due - unspent - lapsed
        from_wallet = sum(amount for _, amount in self._take(lot.holder, lot.unit, spent))
        self.owed[lot.holder, lot.unit] += spent - from_wallet
        lot.taken += due
        if lot.taken == lot.amount:
            lot.state = "reversed"

    def _take(self, holder: int, unit: str, most: int) -> Iterator[tuple[Lot, int]]:
        taken = []
        mine = [
            lot
            for lot in self.lots
            if (lot.holder, lot.unit, lot.state) == (holder, unit, "available")
        ]
        for lot in sorted(mine, key=lambda lot: (lot.expires_at, lot.number)):
            amount = min(lot.left, most)
            if amount:
                lot.left -= amount
                most -= amount
                taken.append((lot, amount))
        return iter(taken)

    # Redemption

    def can_redeem(self, number: int) -> bool:
        rich = self.held(self.current(number), "points", "available") >= PRICE
        return rich and self.stock > 0

    def redeem(self, number: int, now: datetime) -> None:
        who = self.current(number)
        lots = [lot for lot, _ in self._take(who, "points", PRICE)]
        self.stock -= 1
        self.vouchers.append(Voucher(who, lots, PRICE, now))

    def undo(self, voucher: Voucher, now: datetime) -> None:
        voucher.is_open = False
        self.stock += 1
        key = (voucher.holder, "points")
        paid = min(self.owed[key], voucher.amount)
        self.owed[key] -= paid
        rest = voucher.amount - paid
        mine = [
            lot
            for lot in self.lots
            if (lot.holder, lot.unit) == key and lot.spent > 0 and lot.state != "pending"
        ]
        for lot in sorted(mine, key=lambda lot: (lot not in voucher.lots, -lot.number)):
            put = min(lot.spent, rest)
            if put:
                lot.left += put
                lot.state = "available"
                if lot.expires_at <= now:
                    lot.expires_at = now + BACK_LASTS
                rest -= put
        assert rest == 0

    # One person

    def merge(self, kept: int, gone: int, referrer: int | None) -> None:
        """`referrer` is who is above them afterwards."""
        both = (kept, gone)
        one, other = self.people.setdefault(kept, Person()), self.people.pop(gone, Person())
        above = {kept: one.referrer, gone: other.referrer}
        brought_in = next((each for each in both if above[each] in both), None)
        welcomed = {kept: one.events, gone: other.events}.get(brought_in or 0, [])
        for lot in self.lots:
            lot.holder = kept if lot.holder == gone else lot.holder
        for voucher in self.vouchers:
            voucher.holder = kept if voucher.holder == gone else voucher.holder
        for unit in BUDGETS:
            self.owed[kept, unit] += self.owed.pop((gone, unit), 0)
            paid = sum(n for _, n in self._take(kept, unit, self.owed[kept, unit]))
            self.owed[kept, unit] -= paid
        self.became[gone] = kept
        events = one.events + other.events
        one.events, one.claims = events, one.claims + other.claims
        one.is_settled = one.is_settled or other.is_settled
        for person in self.people.values():
            person.referrer = kept if person.referrer == gone else person.referrer
        one.referrer = referrer
        for event in sorted(set(events)):
            self.take_back(
                event,
                Fraction(1),
                lambda lot, event=event: (
                    lot.holder == kept
                    and (lot.depth > 0 or (event in welcomed and lot.rule == FRIEND))
                ),
            )
