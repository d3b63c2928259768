"""Tills in the console: made and closed by the brand, and by who runs the store."""

import re

from flask import Flask

from referral import actions
from referral.deployment import Deployment
from referral.redemption import tills
from referral.staff import Role
from tests.readers import Reader
from tests.rewarded import add_till
from tests.web.conftest import Brand
from tests.web.staff.conftest import PASSWORD, sign_in, text


def is_open(d: Deployment, till_id: int) -> bool:
    with d.db.read() as tx:
        return tills.open_till(tx, till_id) is not None


def test_who_runs_a_store_makes_its_tills_and_closes_them(brand: Brand, app: Flask) -> None:
    d = brand.deployment
    east, west = add_till(d, "east"), add_till(d, "west")
    actions.add_staff(
        d, email="mia@brand.example", password=PASSWORD, role=Role.store_manager, store="east"
    )
    mia = sign_in(Reader(app), "mia", then="/staff/store")
    mia.get("/staff/store")
    assert 'href="/staff/store/tills"' in mia.page
    mia.get("/staff/store/tills")
    answer = mia.send("/staff/store/tills", name="By the door")
    assert (answer.status_code, answer.location) == (303, "/staff/store/tills")
    mia.get("/staff/store/tills")
    links = re.findall(r'value="http://localhost(/till/[^"]+)"', mia.page)
    assert len(links) == 2
    assert Reader(app).get(links[1]).location == "/till"
    assert mia.send(f"/staff/store/tills/{west.id}/close").status_code == 404
    assert is_open(d, west.id), "another store's is not hers to close"
    assert mia.send(f"/staff/store/tills/{east.id}/close").status_code == 303
    assert not is_open(d, east.id)
    mia.get("/staff/store/tills")
    assert mia.send("/staff/store/tills", name=" ").status_code == 422
    assert mia.send("/staff/stores/east/tills", name="One more").status_code == 403


def test_the_brand_closes_a_till_at_its_own_store(brand: Brand, owner: Reader) -> None:
    d = brand.deployment
    east = add_till(d, "east")
    add_till(d, "west")
    owner.get("/staff/stores/east/tills")
    assert "Counter 1" in text(owner)
    assert owner.send(f"/staff/stores/west/tills/{east.id}/close").status_code == 404
    assert is_open(d, east.id)
    assert owner.send(f"/staff/stores/east/tills/{east.id}/close").status_code == 303
    assert not is_open(d, east.id)
