"""A claim that credits two people on PostgreSQL, against a Flask route doing one INSERT and commit.

Both are served as the service serves itself, by one worker on one core, over HTTP on the loopback
with connections that are kept open, and write into the same PostgreSQL server, which waits for the
disk at every commit. The bare route uses SQLAlchemy with an engine like the service's own. What is
measured is what the button on the page of a code sends: a POST with the cookies and the form token
of a browser that has signed in, of a code that nobody has claimed. The rule pays the customer
and who brought her in for every claim.

A first claim is that of somebody who opened a friend's link: it also settles who brought her in. A
later one is of a customer who has been brought in before. The limit on claims is counted in Valkey,
as a service with several processes does.

How near a claim can come at all is said beside it: what the bare route would take if it wrote, in
place of its row, the rows of a later claim, see `claim_rows`.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from apiflask import APIFlask
from flask import session
from flask_wtf.csrf import generate_csrf
from sqlalchemy.orm import Session

from bench import open as opening
from bench.claim_rows import Statement
from bench.measure import Row, Work, in_turn, print_table
from referral import actions, create_app, people
from referral.campaigns import Draft
from referral.codes import Code
from referral.config import Config
from referral.db import Database, upgrade
from referral.deployment import Deployment, open_deployment
from referral.links import Channel, Link, Touch, VisitorCookie
from referral.people import email, new_visitor_id
from referral.ranges import RangeState
from referral.spread import attach, counters
from referral.web.context import VISITOR_COOKIE
from referral.web.security import SESSION_COOKIE

ROUNDS = 7
QUICK = {"ROUNDS": 1, "REQUESTS": 20}
REQUESTS = 160
"""In a round, of each kind."""
LATER_BUYERS = 40
"""So many that none claims more packages a day than a household does, in a round or two."""
TOGETHER = 20
"""How many customers are made in one transaction."""
FIRST, LATER = "a first claim", "a later claim"
ONE_ROW, ITS_ROWS = "one row", "a bare Flask route writing a claim's rows"
ASKED = {FIRST: "0.30", LATER: "0.30"}
"""Of the bare route's requests a second."""
GTIN = "06901234567892"


@dataclass(frozen=True)
class Browser:
    """A customer signed in on a browser: her number, and what the browser sends along."""

    customer: int
    cookies: str
    form: str


def rows() -> Iterator[Row]:
    try:
        from tests.servers import PostgresServer, ValkeyServer  # they come with the tests
    except ImportError:
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        server = stack.enter_context(PostgresServer(fsync=True))
        valkey = stack.enter_context(ValkeyServer(appendonly=True))
        settings = {
            "REFERRAL_DATABASE_URL": server.create_database("claims"),
            "REFERRAL_REDIS_URL": valkey.url,
            "REFERRAL_DATA_DIR": str(folder),
            "REFERRAL_SECRET_KEYS": opening.SECRET,
        }
        requests = prepared(settings["REFERRAL_DATABASE_URL"], folder)
        bare = stack.enter_context(served("bare", settings))
        port = stack.enter_context(served("service", settings))
        works: dict[str, Work] = {"a bare Flask route": Posts(bare, [bare_request()], b" 200 ").run}
        works |= {what: Posts(port, sent, b" 303 ").run for what, sent in requests.items()}
        for what, is_claim in ((ONE_ROW, False), (ITS_ROWS, True)):
            rows_alone = Statement(settings["REFERRAL_DATABASE_URL"], is_claim=is_claim)
            stack.callback(rows_alone.close)
            works[what] = partial(rows_alone.run, REQUESTS)
        seconds = in_turn(works, rounds=ROUNDS, clock=perf_counter)
    bare_took, one_row = next(iter(seconds.values())), seconds.pop(ONE_ROW)
    seconds[ITS_ROWS] = [
        bare - one + its
        for bare, one, its in zip(bare_took, one_row, seconds[ITS_ROWS], strict=True)
    ]
    for what, took in seconds.items():
        share = median(one / other for one, other in zip(bare_took, took, strict=True))
        compared = "" if took is bare_took else f"{share:.2f} of the bare route"
        yield Row(
            f"claim_cost: {what}",
            f"{1 / median(took):,.0f} a second",
            compared,
            ASKED.get(what, ""),
        )


class Posts(opening.Load):
    """Sends requests one after the other, and the only one again and again."""

    def __init__(self, port: int, requests: Sequence[bytes], expected: bytes) -> None:
        super().__init__(port, [], expected)
        self._requests = cycle(requests)

    def run(self, many: int | None = None) -> int:
        return super().run(REQUESTS if many is None else many)


# What is sent


def bare_request() -> bytes:
    return b"POST /bare HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"


def prepared(url: str, folder: Path) -> dict[str, list[bytes]]:
    """A brand with a campaign, and the claims that its customers' browsers are about to send."""
    upgrade(url)
    config = Config(url, folder, (opening.SECRET,), base_url="http://127.0.0.1")
    deployment = open_deployment(config)
    try:
        found = dict(claims(deployment))
        settle_down(deployment)
        return found
    finally:
        deployment.db.close()


def settle_down(d: Deployment) -> None:
    """Do what the service and its database do by themselves when so much was written at once."""
    while d.db.transact(counters.fold):
        pass
    with d.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def claims(d: Deployment) -> Iterator[tuple[str, list[bytes]]]:
    times = REQUESTS * (ROUNDS + 1)
    actions.add_product(d, gtin=GTIN, name="Green tea", price=600, currency="CNY")
    rules = [{"when": "claim", "for": "both", "amount": 20}]
    terms = {"slug": "claims", "title": "Tea for two", "budget": 10_000_000, "rules": rules}
    actions.add_campaign(d, Draft.model_validate({**terms, "gtins": [GTIN]}))
    campaign = actions.publish_campaign(d, "claims").id
    batch = actions.issue_batch(
        d, gtin=GTIN, count=2 * times + LATER_BUYERS, name="claims", by="bench"
    )
    actions.set_range(d, batch.id, RangeState.activated, by="bench")
    entry = d.directory.batch(batch.id)
    codes = (d.codes.encode(entry, index) for index in count())
    app = create_app(deployment=d)
    newcomers = browsers(d, app, campaign, range(times))
    yield FIRST, [request(each, next(codes)) for each in newcomers]
    regulars = list(browsers(d, app, campaign, range(times, times + LATER_BUYERS)))
    for each in regulars:
        made = actions.claim(d, next(codes), each.customer)
        if len({reward.beneficiary_id for reward in made.rewards}) != 2:
            raise RuntimeError("a claim did not credit two people")
    yield LATER, [request(regulars[n % LATER_BUYERS], next(codes)) for n in range(times)]


def browsers(d: Deployment, app: APIFlask, campaign: int, numbers: range) -> Iterator[Browser]:
    """Customers who opened the link of another one, each that of her own, and signed in."""
    for start in numbers[::TOGETHER]:
        some = range(start, min(start + TOGETHER, numbers.stop))
        joined = d.db.transact(lambda tx, some=some: [join(tx, d, campaign, n) for n in some])
        yield from (signed_in(d, app, *each) for each in joined)


def join(tx: Session, d: Deployment, campaign: int, number: int) -> tuple[int, VisitorCookie]:
    now = d.clock.now()
    sharer, buyer = (
        people.find_or_add_customer(
            tx, d.keys, [email(f"{who}-{number}@example.com")], name=None, now=now
        )[0]
        for who in ("sharer", "buyer")
    )
    link = Link(campaign, new_visitor_id(), sharer, 0, Channel.address)
    cookie = VisitorCookie(new_visitor_id(), (Touch(link, now),))
    people.fold_visitor(tx, link.visitor, sharer, now)
    people.remember_visitor(tx, cookie.visitor, now)
    attach(tx, cookie.visitor, link, now)
    people.fold_visitor(tx, cookie.visitor, buyer, now)
    return buyer, cookie


def signed_in(d: Deployment, app: APIFlask, customer: int, cookie: VisitorCookie) -> Browser:
    with app.test_request_context():
        session.permanent = True
        session.update(customer=customer, at=int(d.clock.now().timestamp()))
        form = f"csrf_token={generate_csrf()}"
        signed = app.session_interface.get_signing_serializer(app).dumps(dict(session))
    kept = f"{SESSION_COOKIE}={signed}; {VISITOR_COOKIE}={d.links.cookie(cookie)}"
    return Browser(customer, kept, form)


def request(sender: Browser, code: Code) -> bytes:
    head = (
        f"POST /01/{GTIN}/21/{code.text}/claim HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"User-Agent: {opening.PHONE}\r\nAccept: text/html\r\nAccept-Language: zh-CN\r\n"
        f"Origin: http://127.0.0.1\r\nReferer: http://127.0.0.1/01/{GTIN}/21/{code.text}\r\n"
        f"Cookie: {sender.cookies}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(sender.form)}\r\n\r\n"
    )
    return f"{head}{sender.form}".encode()


# The servers


def served(what: str, settings: Mapping[str, str]) -> AbstractContextManager[int]:
    return opening.served(what, settings, module="bench.claim_cost")


def serve(what: str, port: int) -> None:
    from referral.cli import server

    if what == "bare":
        server._load = lambda _pid: bare_app()
    opening.serve("service", port)


def bare_app() -> object:
    import sqlalchemy as sa
    from flask import Flask

    app = Flask("bare")
    database = Database(Config.from_env().database_url)
    metadata = sa.MetaData()
    table = sa.Table(
        "bare",
        metadata,
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("said", sa.String(40)),
    )
    metadata.create_all(database.engine)
    insert = sa.insert(table)

    @app.post("/bare")
    def bare() -> str:
        with database.engine.begin() as connection:
            connection.execute(insert, {"said": "a row as short as a claim's"})
        return "done"

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return app


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        print_table(rows())
