"""Fills a PostgreSQL database with a year of a large brand, as the service would leave it.

Rows come as arrays, in PostgreSQL's binary form, into tables of whole numbers, and are made into
the service's rows there; indexes of what is largest are built afterwards. Each step is one
transaction and is noted, so that a fill that was interrupted goes on where it stopped.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import psycopg
import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench.claims import gtin
from bench.large_copy import ROWS_AT_ONCE, copy_into, count_on, without_indexes
from bench.large_plan import (
    BATCHES,
    CAMPAIGNS,
    CHANNELS,
    KINDS,
    REGIONS,
    STORES,
    YEAR,
    Plan,
    Size,
    plan,
)
from referral import actions
from referral.campaigns import Draft, campaign_by_slug
from referral.codes import Labels
from referral.config import Config
from referral.db import no_hurry, upgrade
from referral.deployment import Deployment, open_deployment
from referral.people import email
from referral.ranges import RangeState, Terms
from referral.rollups import SLOTS, tree
from referral.spread import counters
from referral.staff import Role
from referral.stores import StoreKind
from referral.visits import months

SECRET = "a-secret-key-for-the-benchmarks"  # noqa: S105 - of a brand that lives for minutes
STAFF, PASSWORD = "olga@brand.example", "four ordinary words here"
BUDGET = 1_000_000_000
CLAIM_POINTS, REFERRAL_POINTS, ORDER_POINTS = 20, 50, 5
CODES_LEAST = 100
WRITERS = 2
"""How many processes wrote the rollups: each has a slot of its own."""


def fill(url: str, folder: Path, size: Size, tell: Callable[[str], None] | None = None) -> None:
    """Make `url`, an empty database or one whose fill was interrupted, a large brand's."""
    say = tell or (lambda words: print(words, file=sys.stderr))
    upgrade(url)
    deployment = open_deployment(Config(url, folder, (SECRET,), base_url="http://127.0.0.1"))
    try:
        _Fill(deployment, url, size, say).run()
    finally:
        deployment.db.close()


class _Fill:
    def __init__(
        self, deployment: Deployment, url: str, size: Size, say: Callable[[str], None]
    ) -> None:
        self._d = deployment
        self._url = url.replace("postgresql+psycopg:", "postgresql:")
        self._size = size
        self._say = say
        self._plan: Plan | None = None

    def run(self) -> None:
        steps: list[Callable[[psycopg.Cursor], None]] = [
            self._brand,
            self._people,
            self._spread,
            self._claims,
            self._referrals,
            self._payments,
            self._visits,
            self._codes,
            self._rollups,
            self._odds,
        ]
        if not self._size.customers:
            steps = [self._brand]
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(_DONE)
            begun = connection.execute("SELECT now()::text").fetchone()
            connection.execute(
                "INSERT INTO bench_done VALUES ('begun', %s) ON CONFLICT DO NOTHING", begun
            )
            done = dict(connection.execute("SELECT step, said FROM bench_done").fetchall())
        self._end = datetime.fromisoformat(done["begun"]).astimezone(UTC)
        for step in steps:
            name = step.__name__.strip("_")
            if name not in done:
                self._do(name, step)
        if "counters" not in done:
            self._counters()
        actions.tally(self._d)
        actions.measure_rates(self._d)
        self._vacuum()

    def _do(self, name: str, step: Callable[[psycopg.Cursor], None]) -> None:
        begun = perf_counter()
        with psycopg.connect(self._url) as connection, connection.cursor() as cursor:
            # Neither triggers nor keys: what is written is whole.
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("SET work_mem = '256MB'")
            cursor.execute("SET maintenance_work_mem = '1GB'")
            cursor.execute("SET timezone = 'UTC'")
            step(cursor)
            cursor.execute("INSERT INTO bench_done VALUES (%s, '')", [name])
        self._say(f"  {name}: {perf_counter() - begun:.0f} s")

    def _counters(self) -> None:
        begun = perf_counter()

        def count(tx: Session) -> None:
            no_hurry(tx)
            counters.recount(tx)
            tree.advance(tx, self._d.clock.now())
            tree.recount(tx, self._d.config.values)
            tx.execute(sa.text("INSERT INTO bench_done VALUES ('counters', '')"))

        self._d.db.transact(count)
        self._say(f"  counters: {perf_counter() - begun:.0f} s")

    def _vacuum(self) -> None:
        """What the server does by itself some time after so many rows."""
        begun = perf_counter()
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")
        self._say(f"  vacuum: {perf_counter() - begun:.0f} s")

    # What staff would set up

    def _brand(self, cursor: psycopg.Cursor) -> None:
        if self._is_set_up():
            return
        d = self._d
        start = self._end - timedelta(microseconds=YEAR)
        actions.add_staff(d, email=STAFF, password=PASSWORD, role=Role.owner)
        stores = [
            actions.add_store(
                d,
                slug=f"store-{n}",
                name=f"Store {n}",
                kind=StoreKind.store,
                region=REGIONS[n % 10],
            )
            for n in range(STORES)
        ]
        codes = 2 * max(self._size.customers, CODES_LEAST)
        for number in range(len(CAMPAIGNS)):
            own = gtin(number)
            actions.add_product(
                d, gtin=own, name=f"Tea {number}", price=6_000, currency="CNY", labels=Labels.pair
            )
            for of_product in range(len(BATCHES)):
                name = f"Batch {number}-{of_product}"
                terms = Terms(store_id=stores[(number * 5 + of_product) % STORES].id)
                batch = actions.issue_batch(
                    d, gtin=own, count=codes, name=name, terms=terms, by="bench"
                )
                actions.set_range(d, batch.id, RangeState.activated, by="bench")
            rules = [
                {"when": "claim", "for": "person", "amount": CLAIM_POINTS},
                {"when": "referred_first_claim", "for": "referrer", "amount": REFERRAL_POINTS},
                {"when": "order", "for": "person", "amount": ORDER_POINTS, "least": 1_000},
            ]
            terms_of = {
                "slug": f"c{number}",
                "title": f"Tea for two {number}",
                "budget": BUDGET,
                "rules": rules,
                "gtins": [own],
                "hold_days": 0,
                "starts_at": start,
                "ends_at": self._end + timedelta(days=30),
            }
            actions.add_campaign(d, Draft.model_validate(terms_of))
            actions.publish_campaign(d, f"c{number}")
        for table in ("batches", "products", "campaigns", "stores"):
            cursor.execute(f"UPDATE {table} SET created_at = %s", [start])  # noqa: S608

    def _is_set_up(self) -> bool:
        with self._d.db.read() as tx:
            return bool(tx.scalar(sa.text("SELECT count(*) FROM campaigns WHERE slug = 'c5'")))

    # What people did

    @property
    def _made(self) -> Plan:
        if self._plan is None:
            self._plan = plan(self._size)
        return self._plan

    def _people(self, cursor: psycopg.Cursor) -> None:
        copy_into(cursor, "bench_people", self._made.people)
        self._name_constants(cursor)
        cursor.execute("CREATE UNIQUE INDEX ON bench_people (number)")
        keys = self._d.keys
        told = {
            "start": self._end - timedelta(microseconds=YEAR),
            "name": keys.encrypt("茶友"),
            "contact": keys.encrypt("friend@example.com"),
            "kind": email("friend@example.com").kind,
        }
        with without_indexes(cursor, "visitors", "identities"):
            for statement in _PEOPLE:
                cursor.execute(statement, told)
        count_on(cursor, "customers", "identities")

    def _name_constants(self, cursor: psycopg.Cursor) -> None:
        """Functions of the fill: a moment, a visitor's number, and names by their places."""
        start = self._end - timedelta(microseconds=YEAR)
        cursor.execute(_FUNCTIONS.format(start=start.isoformat()).encode())
        for name, words in (("kind", KINDS), ("channel", CHANNELS), ("region", REGIONS)):
            listed = ", ".join(f"'{word}'" for word in words)
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION bench_{name}(bigint) RETURNS text IMMUTABLE LANGUAGE "
                f"sql AS $$ SELECT (ARRAY[{listed}])[$1 + 1] $$".encode()
            )

    def _spread(self, cursor: psycopg.Cursor) -> None:
        with without_indexes(cursor, "spread_nodes"):
            cursor.execute(_NODES)

    def _claims(self, cursor: psycopg.Cursor) -> None:
        copy_into(cursor, "bench_claims", self._made.claims)
        copy_into(cursor, "bench_orders", self._made.orders)
        cursor.execute(_CLAIMS)
        cursor.execute(_ORDERS)
        count_on(cursor, "claims", "orders")

    def _referrals(self, cursor: psycopg.Cursor) -> None:
        cursor.execute(_REFERRALS)

    def _payments(self, cursor: psycopg.Cursor) -> None:
        with self._d.db.read() as tx:
            ids = [rule.id for rule in campaign_by_slug(tx, "c0").checked_rules]
        told = {
            "claim_rule": ids[0],
            "referral_rule": ids[1],
            "order_rule": ids[2],
            "claim": CLAIM_POINTS,
            "referral": REFERRAL_POINTS,
            "order": ORDER_POINTS,
        }
        for statement in _PAYMENTS:
            cursor.execute(statement, told if "%(" in statement else None)
        count_on(cursor, "ledger_entries", "rewards", "verdicts", "accounts", "postings")

    def _visits(self, cursor: psycopg.Cursor) -> None:
        visits = self._made.visits
        self._d.db.transact(self._prepare_months)
        with without_indexes(cursor, "visits"):
            for start in range(0, len(visits["at"]), ROWS_AT_ONCE):
                part = {name: col[start : start + ROWS_AT_ONCE] for name, col in visits.items()}
                cursor.execute("DROP TABLE IF EXISTS bench_visits")
                copy_into(cursor, "bench_visits", part)
                cursor.execute(_VISITS)
            cursor.execute("DROP TABLE IF EXISTS bench_visits")

    def _prepare_months(self, tx: Session) -> None:
        start = self._end - timedelta(microseconds=YEAR)
        for later in range(13):
            months.make(tx, months.month_of(start, later))

    def _codes(self, cursor: psycopg.Cursor) -> None:
        with without_indexes(cursor, "scanned_codes", "seen_codes"):
            cursor.execute(_SCANNED)
            cursor.execute(_SEEN)

    def _rollups(self, cursor: psycopg.Cursor) -> None:
        assert WRITERS <= SLOTS
        with without_indexes(cursor, "visit_counts"):
            cursor.execute(_COUNTS, {"writers": WRITERS})
        for statement in _SUMS:
            cursor.execute(statement)

    def _odds(self, cursor: psycopg.Cursor) -> None:
        """Flags, wrong codes, dead links."""
        for statement in _ODDS:
            cursor.execute(statement)


_DONE = "CREATE TABLE IF NOT EXISTS bench_done (step text PRIMARY KEY, said text)"
_FUNCTIONS = """
    CREATE OR REPLACE FUNCTION bench_moment(bigint) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS
        $$ SELECT '{start}'::timestamptz + $1 * interval '1 microsecond' $$;
    CREATE OR REPLACE FUNCTION bench_visitor(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS
        $$ SELECT hashint8extended($1, 6) & 9223372036854775807 $$;
    CREATE OR REPLACE FUNCTION bench_name(bigint) RETURNS text IMMUTABLE LANGUAGE sql AS
        $$ SELECT rtrim(translate(encode(int8send($1), 'base64'), '+/', '-_'), '=') $$;
    CREATE OR REPLACE FUNCTION bench_event(timestamptz) RETURNS uuid VOLATILE LANGUAGE sql AS
        $$ SELECT (lpad(to_hex(floor(extract(epoch FROM $1) * 1000)::bigint), 12, '0') || '8'
            || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid $$;
"""
"""The last one makes numbers of events that are in order of time, as those of the service."""

_PEOPLE = (
    """
    INSERT INTO customers (id, name_encrypted, created_at)
    SELECT customer, %(name)s, bench_moment(at) FROM bench_people WHERE customer > 0
    ORDER BY customer
    """,
    """
    INSERT INTO identities (id, customer_id, kind, blind_index, value_encrypted, created_at)
    SELECT customer, customer, %(kind)s, md5(customer::text), %(contact)s, bench_moment(at)
    FROM bench_people WHERE customer > 0 ORDER BY customer
    """,
    # Nobody is to be looked at: they all ran their pages.
    """
    INSERT INTO visitors (id, customer_id, created_at, ran_at)
    SELECT bench_visitor(number), nullif(customer, -1), bench_moment(at), bench_moment(at)
    FROM bench_people ORDER BY at
    """,
)
_NODES = """
    INSERT INTO spread_nodes (campaign_id, visitor_id, parent_id, hop, channel, at, touched_by,
        link_hop, shared_at, shared_hop, last_by, last_at)
    SELECT campaign + 1, bench_visitor(number), up, hop,
        CASE WHEN up IS NULL THEN 'unknown' ELSE bench_channel(channel) END, bench_moment(at),
        up, CASE WHEN up IS NOT NULL THEN hop - 1 END,
        CASE WHEN shared_at >= 0 THEN bench_moment(shared_at) END,
        CASE WHEN shared_at >= 0 THEN hop END,
        up, CASE WHEN up IS NOT NULL THEN bench_moment(at) END
    FROM (
        SELECT *, CASE WHEN parent >= 0 THEN bench_visitor(parent) END AS up FROM bench_people
        WHERE parent >= 0 OR shared_at >= 0
    ) AS placed
    ORDER BY at
"""
_CLAIMS = """
    INSERT INTO claims (id, batch_id, index, customer_id, campaign_id, at)
    SELECT number, batch + 1, code, customer, campaign + 1, bench_moment(at)
    FROM bench_claims ORDER BY number
"""
_ORDERS = """
    INSERT INTO orders (id, external_id, customer_id, is_guest, campaign_id, amount, currency,
        refunded, gtins, at, reported_at)
    SELECT number, 'S-' || number, customer, false, campaign + 1, amount, 'CNY', 0, '[]',
        bench_moment(at), bench_moment(at)
    FROM bench_orders ORDER BY number
"""
_REFERRALS = """
    INSERT INTO referrals (customer_id, referrer_id, event, campaign_id, why, at)
    SELECT claims.customer, nullif(claims.referrer, -1), 'claim:' || claims.number,
        claims.campaign + 1,
        json_build_object(
            'campaign', CASE WHEN parent >= 0 THEN claims.campaign + 1 END,
            'rule', CASE WHEN claims.referrer > 0 THEN 'first' ELSE 'nobody' END,
            'path', CASE WHEN claims.referrer > 0 THEN json_build_array(json_build_object(
                'visitor', bench_name(bench_visitor(parent)), 'customer', claims.referrer
            )) ELSE '[]' END,
            'touches', CASE WHEN parent >= 0 THEN json_build_array(json_build_object(
                'campaign', claims.campaign + 1, 'at', to_json(bench_moment(people.at)),
                'sharer', bench_name(bench_visitor(parent)),
                'customer', nullif(claims.referrer, -1),
                'outcome', CASE WHEN claims.referrer > 0 THEN 'credited' ELSE 'nobody' END,
                'window_days', 30
            )) ELSE '[]' END
        ),
        bench_moment(claims.at)
    FROM bench_claims claims JOIN bench_people people ON people.number = claims.who
    WHERE is_first = 1
    ORDER BY claims.number
"""
_PAYMENTS = (
    # Every purchase with what it pays to whom: to its customer, and to who brought her in.
    """
    CREATE UNLOGGED TABLE bench_paid AS
    SELECT row_number() OVER (ORDER BY at, event) AS number, purchases.*
    FROM (
        SELECT 'claim:' || number AS event, 'claim' AS proof, customer, campaign + 1 AS campaign,
            at, is_first = 1 AS is_first,
            CASE WHEN is_first = 1 AND referrer > 0 THEN referrer END AS referrer,
            %(claim_rule)s AS rule, %(claim)s::bigint AS own
        FROM bench_claims
        UNION ALL
        SELECT 'order:' || number, 'order', customer, campaign + 1, at, false, NULL,
            %(order_rule)s, %(order)s::bigint
        FROM bench_orders
    ) AS purchases
    """,
    # One in two hundred is looked at by somebody.
    """
    INSERT INTO verdicts (id, event, customer_id, referrer_id, campaign_id, at, score, decision,
        findings, facts, is_paid_referral, looked_at, case_state)
    SELECT number, event, customer, referrer, campaign, bench_moment(at),
        CASE WHEN is_case THEN 30 ELSE 0 END, CASE WHEN is_case THEN 'review' ELSE 'pay' END, '[]',
        json_build_object('is_first', is_first, 'pays_referrer', referrer IS NOT NULL, 'misses', 0),
        referrer IS NOT NULL, bench_moment(at), CASE WHEN is_case THEN 'open' END
    FROM (SELECT *, number % 200 = 0 AS is_case FROM bench_paid) AS judged ORDER BY number
    """,
    """
    INSERT INTO ledger_entries (id, key, what, at)
    SELECT entries.last + number, 'rewards|' || event
            || CASE WHEN referrer IS NULL THEN '|' || rule || '|' || customer ELSE '' END,
        'rewards for ' || proof, bench_moment(at)
    FROM bench_paid, (SELECT max(id) AS last FROM ledger_entries) AS entries ORDER BY number
    """,
    """
    CREATE UNLOGGED TABLE bench_rewards AS
    SELECT row_number() OVER (ORDER BY number, depth) AS id, granted.* FROM (
        SELECT *, customer AS beneficiary, 0 AS depth, own AS amount FROM bench_paid
        UNION ALL
        SELECT bench_paid.*, referrer, 1, %(referral)s::bigint FROM bench_paid
        WHERE referrer IS NOT NULL
    ) AS granted
    """,
    """
    INSERT INTO rewards (id, event, rule, beneficiary_id, holder_id, campaign_id, depth, unit,
        amount, "left", taken_back, lapsed, state, is_cleared, granted_at, available_at,
        expires_at, entry_id)
    SELECT rewards.id, event, CASE WHEN depth = 0 THEN rule ELSE %(referral_rule)s END, beneficiary,
        beneficiary, campaign, depth, 'points', amount, amount, 0, 0, 'available', true,
        bench_moment(rewards.at), bench_moment(rewards.at),
        bench_moment(rewards.at) + interval '366 days', first + number - 1
    FROM bench_rewards rewards,
        (SELECT min(id) AS first FROM ledger_entries WHERE key LIKE 'rewards|%%') AS entries
    ORDER BY rewards.id
    """,
    """
    INSERT INTO accounts (id, kind, owner, unit, slot, balance)
    SELECT last + row_number() OVER (ORDER BY beneficiary), 'wallet', beneficiary, 'points', 0, held
    FROM (SELECT beneficiary, sum(amount) AS held FROM bench_rewards GROUP BY 1) AS wallets,
        (SELECT max(id) AS last FROM accounts) AS accounts
    """,
    "ANALYZE accounts",
    "CREATE SEQUENCE bench_postings",
    "SELECT setval('bench_postings', (SELECT max(id) FROM postings))",
    """
    INSERT INTO postings (id, entry_id, account_id, amount)
    SELECT nextval('bench_postings'), entry_id, accounts.id, amount
    FROM rewards JOIN accounts ON kind = 'wallet' AND owner = holder_id
    ORDER BY rewards.id
    """,
    # Each from one of the budget's slots.
    """
    INSERT INTO postings (id, entry_id, account_id, amount)
    SELECT nextval('bench_postings'), entry_id, slots.id, -paid
    FROM (
        SELECT entry_id, campaign_id, sum(amount)::bigint AS paid FROM rewards GROUP BY 1, 2
    ) AS entries
    JOIN accounts slots ON kind = 'budget' AND owner = campaign_id
        AND slot = entry_id % (SELECT count(*) FROM accounts a
            WHERE a.kind = 'budget' AND a.owner = 1)
    """,
    """
    UPDATE accounts SET balance = posted FROM (
        SELECT account_id, sum(amount)::bigint AS posted FROM postings
        WHERE account_id IN (SELECT id FROM accounts WHERE kind = 'budget') GROUP BY 1
    ) AS sums
    WHERE accounts.id = account_id
    """,
    "DROP TABLE bench_paid, bench_rewards",
    "DROP SEQUENCE bench_postings",
)
_VISITS = """
    INSERT INTO visits (event_id, kind, at, campaign_id, visitor_id, parent_id, hop, channel,
        batch_id, code_index, label, store_id, region, machine)
    SELECT bench_event(bench_moment(at)), bench_kind(kind), bench_moment(at), campaign + 1,
        CASE WHEN who >= 0 THEN bench_visitor(who) END,
        CASE WHEN parent >= 0 THEN bench_visitor(parent) END,
        CASE WHEN kind = 0 THEN hop END,
        bench_channel(channel), CASE WHEN batch >= 0 THEN batch + 1 END, nullif(code, -1),
        CASE WHEN batch >= 0 THEN CASE WHEN is_outer = 1 THEN 'outer' ELSE 'inner' END END,
        CASE WHEN batch >= 0 THEN batch % 20 + 1 END, bench_region(region),
        CASE WHEN who < 0 THEN 'preview' END
    FROM bench_visits
"""
_SCANNED = """
    INSERT INTO scanned_codes (batch_id, index, label, visitor_id, first_at)
    SELECT batch_id, code_index, label, visitor_id, min(at) FROM visits
    WHERE kind = 'scan' GROUP BY 1, 2, 3, 4
"""
_SEEN = """
    INSERT INTO seen_codes (batch_id, index, label, first_at, region, devices)
    SELECT batch_id, code_index, label, min(at), (array_agg(region ORDER BY at))[1],
        count(DISTINCT visitor_id)
    FROM visits WHERE kind = 'scan' GROUP BY 1, 2, 3
"""
_COUNTS = """
    INSERT INTO visit_counts (campaign_id, batch_id, hour, kind, label, channel, store_id, region,
        slot, count)
    SELECT coalesce(campaign_id, 0), coalesce(batch_id, 0), date_trunc('hour', at, 'UTC'), kind,
        coalesce(label, ''), channel, coalesce(store_id, 0), coalesce(region, ''),
        coalesce(visitor_id, 0) %% %(writers)s, count(*)
    FROM visits GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""
_SUMS = (
    """
    INSERT INTO campaign_visits (campaign_id, kind, slot, count)
    SELECT campaign_id, kind, slot, sum(count) FROM visit_counts GROUP BY 1, 2, 3
    """,
    """
    INSERT INTO batch_scans (batch_id, hour, label, slot, count)
    SELECT batch_id, hour, label, slot, sum(count) FROM visit_counts WHERE kind = 'scan'
    GROUP BY 1, 2, 3, 4 ORDER BY hour
    """,
    """
    INSERT INTO batch_regions (batch_id, day, label, region, slot, count)
    SELECT batch_id, date_trunc('day', hour, 'UTC'), label, region, slot, sum(count)
    FROM visit_counts WHERE kind = 'scan' GROUP BY 1, 2, 3, 4, 5 ORDER BY 2
    """,
    """
    INSERT INTO store_scans (store_id, day, slot, count)
    SELECT store_id, date_trunc('day', hour, 'UTC'), slot, sum(count)
    FROM visit_counts WHERE kind = 'scan' AND store_id <> 0 GROUP BY 1, 2, 3
    """,
    """
    INSERT INTO sharers (campaign_id, visitor_id, at)
    SELECT campaign_id, visitor_id, min(at) FROM visits WHERE kind = 'share' GROUP BY 1, 2
    """,
)
_ODDS = (
    """
    INSERT INTO code_flags (batch_id, index, kind, first_at, last_at, times, region)
    SELECT batch_id, index, 'other_market', first_at, first_at, 1, region FROM seen_codes
    WHERE label = 'inner' AND index % 100 = 1
    """,
    """
    INSERT INTO code_misses (hour, product_id, batch_id, region, count)
    SELECT date_trunc('hour', at, 'UTC'), product_id, batches.id, '', count(*)
    FROM claims JOIN batches ON batches.id = batch_id WHERE claims.id % 20 = 0 GROUP BY 1, 2, 3
    """,
    """
    INSERT INTO dead_links (hour, fault, region, count)
    SELECT date_trunc('hour', at, 'UTC'), 'cut', '', count(*) FROM claims
    WHERE id % 50 = 0 GROUP BY 1
    """,
)
