"""All that is known of one code: its range, its labels' scans, claim, flags and packages."""

from dataclasses import replace
from datetime import timedelta

import numpy as np

from referral import actions, intake, people
from referral.clock import HeldClock
from referral.codes import Label, Labels
from referral.crypto import KeyRing
from referral.deployment import Deployment
from referral.flags import Flag
from referral.packages import PrintPackage, add_package
from referral.packages.fingerprint import Fingerprint
from referral.reports import codes
from referral.stores import StoreKind
from referral.visits import Kind, Visit, new_event_id
from tests.cast import SIZE, Brand, cast_of, open_brand


def test_a_code_nobody_has_seen_says_where_it_is(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    entry = deployment.directory.batch(brand.batch.id)
    with deployment.db.read() as tx:
        found = codes.report(tx, entry, 700, deployment.clock.now())
    assert (found.batch_name, found.span.state) == ("a batch", "issued")
    assert (found.availability, found.store_name) == ("not_activated", None)
    assert (found.seen, found.claim, found.flags) == ({}, None, [])


def test_a_codes_labels_share_a_claim_and_each_has_its_scans(
    deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment, labels=Labels.pair)
    alice, _, _ = cast_of(brand)
    store = actions.add_store(
        deployment, slug="gz", name="Guangzhou East", kind=StoreKind.store, region=None
    )
    ends = clock.now() + timedelta(days=1)
    terms = {"store_id": store.id, "sale_until": ends}
    actions.assign_range(deployment, brand.batch.id, terms, start=0, end=9, by="tests")
    alice.claim(3)
    for index, label, region in [
        (3, Label.inner, "CN-GD"),
        (3, Label.inner, "US"),
        (3, Label.outer, None),
        (4, Label.inner, None),
    ]:
        visit = Visit(
            Kind.scan,
            clock.now(),
            new_event_id(),
            visitor=people.new_visitor_id(),
            batch=brand.batch.id,
            code_index=index,
            label=label,
            region=region,
            flags=(Flag.other_market,) if region == "US" else (),
        )
        intake.hand_in(deployment, visit)
    entry = deployment.directory.batch(brand.batch.id)
    with deployment.db.read() as tx:
        found = codes.report(tx, entry, 3, clock.now())
        later = codes.report(tx, entry, 3, ends)
    assert (found.store_name, found.availability) == ("Guangzhou East", "on_sale")
    assert later.availability == "expired"
    assert {
        label: (seen.devices, seen.region, seen.first_at) for label, seen in found.seen.items()
    } == {"inner": (2, "CN-GD", clock.now()), "outer": (1, None, clock.now())}
    assert found.claim is not None
    assert found.claim.customer_id == alice.customer
    assert [(flag.kind, flag.region) for flag in found.flags] == [("other_market", "US")]


def package(brand: Brand, name: str, start: int, end: int, supplier: str | None) -> PrintPackage:
    made = PrintPackage(
        id=name,
        batch_id=brand.batch.id,
        label=Label.inner.value,
        start=start,
        end=end,
        count=end - start,
        supplier=supplier,
        sha256="0" * 64,
        by="tests",
        at=brand.deployment.clock.now(),
    )
    brand.deployment.db.transact(lambda tx: add_package(tx, made, again=True))
    return made


def test_a_code_is_from_the_packages_that_have_it(deployment: Deployment) -> None:
    brand = open_brand(deployment)
    entry = deployment.directory.batch(brand.batch.id)
    marked = Fingerprint(deployment.keys, entry.key_id, "MARKED0001")
    out = int(np.flatnonzero(marked.left_out(np.arange(SIZE)))[0])
    package(brand, "PLAIN00001", 0, SIZE, None)
    package(brand, "MARKED0001", 0, SIZE, "Printers Ltd")
    package(brand, "ELSEWHERE1", out + 2, SIZE, None)

    def printed_in(index: int, keys: KeyRing) -> set[str]:
        with deployment.db.read() as tx:
            return {each.id for each in codes.printed_in(tx, keys, entry, index)}

    assert printed_in(out, deployment.keys) == {"PLAIN00001"}
    assert printed_in(out + 1, deployment.keys) == {"PLAIN00001", "MARKED0001"}
    assert "ELSEWHERE1" in printed_in(out + 2, deployment.keys)
    # Without the batch's key nobody can say what was left out.
    assert "MARKED0001" in printed_in(out, KeyRing(("another key that is long enough",)))
    assert replace(entry, key_id="gone").key_id not in deployment.keys.key_ids
