"""Plays a made-up history through the service: every event is the action a person would cause.

Nothing random happens here; all of it is drawn beforehand, in `plan`. So a history that was cut
off half way can be played again from its start: everything that is stored has a unique key, and
what is there already stays as it is.
"""

from collections import ChainMap, Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from uuid import UUID, uuid5

from sqlalchemy.orm import Session

from referral import actions, campaigns, intake, links, people, stores, visits
from referral.clock import HeldClock
from referral.codes import Code
from referral.demo import brand
from referral.deployment import Deployment
from referral.flags import Flag
from referral.limits import Limits
from referral.links import Channel, Link, VisitorCookie
from referral.people import Contact
from referral.places import in_market
from referral.spread import cascades
from referral.spread.cascades import Event, Parameters
from referral.visits import Visit

SEED = 20_285
CHUNK = 300
"""How many events one transaction holds: many, because commits cost; few, so that a service that
runs beside it waits only a moment."""
MEMBERS = 0.4
"""How many of those who come without a link are members of the brand's own shop, which claims for
them by the API."""
BYSTANDERS = 3
"""How many members have not bought anything yet, for each who has."""
STRIDE = 7_919
"""A prime: steps of it visit every index of a range once, in no order that shows."""
WAITED = (1, 1, 2, 3, 5, 9, 14, 40, 300)
"""How many minutes people take from the scan to the claim, one after the other."""
LOOKED_AGAIN, CURIOUS = 4, 16
"""Of how many who bought once one scans another package later, and of how many who only read one
scans a package in a shop. Neither claims it, and every second of the latter signs in."""
LOOKED_AT_TWICE = 6
"""Of how many buyers one hands the package to a friend, who looks too."""
_NAMES = UUID("9a1d0c5e-53c5-4f3f-8d0c-5f8f4a1b6f20")

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much."""


@dataclass(frozen=True)
class Person:
    """Somebody in the history: what will be used once it is needed."""

    number: int
    visitor: int
    name: str | None
    is_member: bool

    @property
    def region(self) -> str:
        return brand.REGIONS[self.number * STRIDE % len(brand.REGIONS)]

    @property
    def contact(self) -> Contact:
        """Nobody's phone number, which may be somebody's after all: example.com is nobody's."""
        if self.is_member:
            return member_number(self.number)
        return people.email(f"customer.{self.number}@example.com")

    @property
    def address(self) -> str:
        """An address to sign in from, out of the range for benchmarks (RFC 2544)."""
        return f"198.18.{self.visitor >> 8 & 255}.{self.visitor & 255}"


@dataclass(frozen=True)
class Step:
    event: Event
    event_id: UUID
    package: tuple[int, int] | None = None
    """Of a purchase: the place of the batch in `brand.BATCHES`, and the index."""


@dataclass(frozen=True)
class Look:
    """Somebody scans a package and does not claim it."""

    step: Step
    joins: bool
    """Whether the person signs in, who was no customer before."""


@dataclass(frozen=True)
class Plan:
    people: list[Person]
    steps: list[Step]
    looks: list[Look]
    bystanders: list[str | None]
    """The names of the shop's members who have not bought anything yet."""


def plan(parameters: Parameters, seed: int) -> Plan:
    """A history with everything drawn: the same seed gives the same one."""
    rng = Random(seed)  # noqa: S311 - the demo has to be the same everywhere
    events = cascades.history(rng, parameters)
    first: dict[int, Event] = {}
    for event in events:
        first.setdefault(event.person, event)
    members = {
        number
        for number, event in sorted(first.items())
        if event.kind is cascades.Kind.purchase and rng.random() < MEMBERS
    }
    persons = [_person(rng, seed, number, number in members) for number in range(len(first))]
    sold = [0] * len(brand.BATCHES)
    steps = []
    for number, event in enumerate(events):
        package = _package(rng, sold) if event.kind is cascades.Kind.purchase else None
        steps.append(Step(event, uuid5(_NAMES, f"{seed}|event|{number}"), package))
    bystanders = [brand.nickname(rng) for _ in range(len(members) * BYSTANDERS)]
    return Plan(persons, steps, _looks(rng, seed, events, members, sold), bystanders)


def _looks(
    rng: Random, seed: int, events: Sequence[Event], members: set[int], sold: list[int]
) -> list[Look]:
    """What is scanned and not claimed, drawn after all that is bought."""
    bought = Counter(event.person for event in events if event.kind is cascades.Kind.purchase)
    last = {event.person: event.at for event in events}
    once = [number for number in sorted(last) if bought[number] == 1 and number not in members]
    only_read = [number for number in sorted(last) if not bought[number]]
    looks = []
    for place, number in enumerate([*once[::LOOKED_AGAIN], *only_read[::CURIOUS]]):
        at = last[number] + (1 if bought[number] else 0) + rng.random()
        if at < brand.RUNS_FOR.days:
            event = Event(at, cascades.Kind.engagement, number)
            step = Step(event, uuid5(_NAMES, f"{seed}|look|{number}"), _package(rng, sold))
            looks.append(Look(step, joins=not bought[number] and place % 2 == 0))
    return sorted(looks, key=lambda look: look.step.event.at)


def _person(rng: Random, seed: int, number: int, is_member: bool) -> Person:
    visitor = _visitor_id(f"{seed}|visitor|{number}")
    return Person(number, visitor, brand.nickname(rng), is_member)


def member_number(number: int) -> Contact:
    return people.external(f"M{100_000 + number}")


def _package(rng: Random, sold: list[int]) -> tuple[int, int]:
    weights = [batch.weight for batch in brand.BATCHES]
    (place,) = rng.choices(range(len(weights)), weights)
    start, end = brand.BATCHES[place].sold or (0, 0)
    sold[place] += 1
    if sold[place] > end - start:
        raise ValueError("the history buys more packages than the demo has sold")
    return place, start + sold[place] * STRIDE % (end - start)


@dataclass(frozen=True)
class State:
    """What a person's browser knows by now."""

    cookie: VisitorCookie
    customer: int | None = None
    link: Link | None = None
    """A member's own link, as the shop got it from the API."""


class Stage:
    """Plays a plan, from `start` on."""

    def __init__(
        self, deployment: Deployment, plan: Plan, start: datetime, batch_ids: Sequence[int]
    ) -> None:
        self._clock = HeldClock(start)
        self._deployment = at_time(deployment, self._clock)
        self._plan = plan
        self._start = start
        self._batch_ids = batch_ids
        self._states: dict[int, State] = {}
        with deployment.db.read() as tx:
            self._campaign = campaigns.campaign_by_slug(tx, brand.CAMPAIGN).id
            slugs = {batch.to for batch in brand.BATCHES if batch.to}
            stores_by_slug = {slug: stores.store_by_slug(tx, slug).id for slug in slugs}
        self._store_ids = [stores_by_slug.get(batch.to or "") for batch in brand.BATCHES]

    def play(self, progress: Progress) -> None:
        steps = self._plan.steps
        self._deployment.db.transact(self._register_bystanders)
        for at in range(0, len(steps), CHUNK):
            progress(at, len(steps))
            chunk = partial(self._play, steps=steps[at : at + CHUNK])
            self._states.update(self._deployment.db.transact(chunk))
        for at in range(0, len(self._plan.looks), CHUNK):
            looks = self._plan.looks[at : at + CHUNK]
            self._deployment.db.transact(partial(self._look_on, looks=looks))
        progress(len(steps), len(steps))
        self._deployment.limits.sweep()
        actions.follow_tree(self._deployment)

    def _register_bystanders(self, _tx: Session) -> None:
        """The shop hands over all its members when the brand begins."""
        self._clock.set(self._start)
        for number, name in enumerate(self._plan.bystanders, start=len(self._plan.people)):
            actions.add_customer(self._deployment, [member_number(number)], name)

    def _play(self, _tx: Session, steps: Sequence[Step]) -> dict[int, State]:
        """One transaction; the actions join it. Returns the states it changes, so that a
        transaction that is tried again begins with the states it began with before."""
        changed: dict[int, State] = {}
        states = ChainMap(changed, self._states)
        acts = {
            cascades.Kind.purchase: self._purchase,
            cascades.Kind.share: self._share,
            cascades.Kind.fetch: self._fetch,
            cascades.Kind.open: self._open,
            cascades.Kind.engagement: self._engage,
        }
        for step in steps:
            number = step.event.person
            self._clock.set(self._start + timedelta(days=step.event.at))
            if number not in states:
                states[number] = State(VisitorCookie(self._plan.people[number].visitor))
            acts[step.event.kind](step, states)
        return changed

    def _purchase(self, step: Step, states: ChainMap[int, State]) -> None:
        number = step.event.person
        person, code = self._plan.people[number], self._code(step)
        if not person.is_member:
            now = self._clock.now()
            waited = timedelta(minutes=WAITED[number % len(WAITED)])
            self._clock.set(max(self._start, now - waited))
            self._scan(step, code, states[number].cookie.visitor)
            self._clock.set(now)
            if number % LOOKED_AT_TWICE == 0:
                second = replace(step, event_id=uuid5(step.event_id, "second look"))
                self._scan(second, code, _visitor_id(f"friend|{number}"))
        if states[number].customer is None:
            states[number] = self._join(person, states[number])
            self._note_sign_in(step, states[number])
        state = states[number]
        assert state.customer is not None
        if person.is_member:
            actions.claim(self._deployment, code, state.customer)
            return
        cookie = state.cookie
        actions.claim(
            self._deployment,
            code,
            state.customer,
            visitor=cookie.visitor,
            touches=cookie.touches,
        )

    def _scan(self, step: Step, code: Code, visitor: int) -> None:
        assert step.package is not None
        market = brand.BATCHES[step.package[0]].market
        region = self._plan.people[step.event.person].region
        self._hand_in(
            step,
            visits.Kind.scan,
            visitor=visitor,
            batch=code.batch_id,
            code_index=code.index,
            label=code.label,
            store=self._store_ids[step.package[0]],
            flags=() if in_market(market, region) else (Flag.other_market,),
        )

    def _look_on(self, _tx: Session, looks: Sequence[Look]) -> None:
        for look in looks:
            number = look.step.event.person
            self._clock.set(self._start + timedelta(days=look.step.event.at))
            state = self._states[number]
            self._scan(look.step, self._code(look.step), state.cookie.visitor)
            if look.joins:
                joined = self._join(self._plan.people[number], state)
                self._note_sign_in(look.step, joined)

    def _join(self, person: Person, state: State) -> State:
        """Become a customer: by the shop's own member number, or with a one-time code."""
        if person.is_member:
            customer, _ = actions.add_customer(self._deployment, [person.contact], person.name)
            return replace(state, customer=customer)
        code = actions.request_sign_in_code(
            self._deployment,
            person.contact,
            person.address,
            state.cookie.visitor,
            lambda code: code,
        )
        assert code is not None
        signed_in = actions.sign_in(self._deployment, person.contact, code, state.cookie.visitor)
        if person.name is not None:
            actions.rename(self._deployment, signed_in.customer, person.name)
        cookie = replace(state.cookie, visitor=signed_in.visitor)
        return replace(state, cookie=cookie, customer=signed_in.customer)

    def _note_sign_in(self, step: Step, state: State) -> None:
        if self._plan.people[step.event.person].is_member:
            return  # the shop knew them, and no page was asked
        touches = state.cookie.touches
        channel = touches[-1].link.channel if touches else Channel.unknown
        own = replace(step, event_id=uuid5(step.event_id, "sign-in"))
        self._hand_in(
            own,
            visits.Kind.sign_in,
            visitor=state.cookie.visitor,
            channel=channel,
            store=self._store_ids[step.package[0]] if step.package else None,
        )

    def _share(self, step: Step, states: ChainMap[int, State]) -> None:
        link = self._link(step.event.person, step.event.channel, states)
        self._hand_in(step, visits.Kind.share, visitor=link.visitor, channel=link.channel)

    def _fetch(self, step: Step, states: ChainMap[int, State]) -> None:
        link = self._link(step.event.person, step.event.channel, states)
        self._hand_in(
            step,
            visits.Kind.fetch,
            parent=link.visitor,
            hop=link.hop + 1,
            channel=link.channel,
            machine="fetcher",
        )

    def _open(self, step: Step, states: ChainMap[int, State]) -> None:
        event = step.event
        assert event.via is not None
        link, reader = self._link(event.via, event.channel, states), states[event.person]
        arrival = links.arrive(reader.cookie, link, reader.customer, self._clock.now())
        states[event.person] = replace(reader, cookie=arrival.cookie)
        self._hand_in(
            step,
            visits.Kind.open,
            visitor=arrival.cookie.visitor,
            parent=None if arrival.is_own else link.visitor,
            hop=link.hop + 1,
            channel=link.channel,
        )
        intake.note_ran(self._deployment, arrival.cookie.visitor, self._clock.now())

    def _engage(self, step: Step, states: ChainMap[int, State]) -> None:
        cookie, moment = states[step.event.person].cookie, self._clock.now()
        visitor = cookie.visitor
        self._hand_in(
            replace(step, event_id=visits.engagement_id(visitor, self._campaign, moment)),
            visits.Kind.engagement,
            visitor=visitor,
            channel=cookie.touches[-1].link.channel if cookie.touches else Channel.address,
        )

    def _link(self, number: int, channel: str, states: ChainMap[int, State]) -> Link:
        """A person's own link, as the page or (for the shop's members) the API gives it."""
        state, put = states[number], Channel.named(channel)
        if state.customer is None or not self._plan.people[number].is_member:
            return links.own_link(state.cookie, self._campaign, state.customer).through(put)
        link = state.link or actions.make_link(
            self._deployment, brand.CAMPAIGN, state.customer, Channel.unknown
        )
        states[number] = replace(state, link=link)
        return link.through(put)

    def _hand_in(self, step: Step, kind: visits.Kind, **more: object) -> None:
        region = self._plan.people[step.event.person].region
        visit = Visit(
            kind,
            self._clock.now(),
            visits.in_time(step.event_id, kind, self._clock.now()),
            campaign=self._campaign,
            region=None if kind is visits.Kind.fetch else region,
            **more,  # type: ignore[arg-type]
        )
        intake.hand_in(self._deployment, visit)

    def _code(self, step: Step) -> Code:
        assert step.package is not None
        place, index = step.package
        batch = self._deployment.directory.batch(self._batch_ids[place])
        return self._deployment.codes.encode(batch, index)


def _visitor_id(name: str) -> int:
    return uuid5(_NAMES, name).int >> 65


def at_time(deployment: Deployment, clock: HeldClock) -> Deployment:
    """The same deployment at another time, and without sending anybody anything."""
    limits = Limits(deployment.db, deployment.keys, clock, deployment.config.redis_url)
    return replace(deployment, clock=clock, limits=limits, sender=_Silent())


class _Silent:
    """Gives one-time codes back to the demo's customers without printing two thousand lines."""

    shows_codes = True

    def send(self, contact: Contact, code: str, text: str, *, brand: str) -> None:
        pass
