"""Idempotency-Key: what is sent twice is done once, whatever happens in between."""

import threading

import pytest
import sqlalchemy as sa

from referral import actions, idempotency
from referral.catalog import Product
from referral.errors import TooMany, Unavailable
from referral.idempotency import IdempotentAnswer
from referral.web.api.idempotent import request_hash
from tests.web.api.conftest import PRODUCT, Api, problem

REPLAYED = "Idempotent-Replayed"


class Died(BaseException):
    """The process ends here."""


def count(deployment, model) -> int:
    with deployment.db.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(model))


def test_the_same_request_is_answered_the_same(api, deployment, clock):
    first = api.post("/products", PRODUCT, once="a")
    assert first.status_code == 201
    assert REPLAYED not in first.headers
    clock.advance(minutes=5)
    again = api.post("/products", PRODUCT, once="a")
    assert (again.status_code, again.data) == (201, first.data)
    assert again.mimetype == "application/json"
    assert again.headers[REPLAYED] == "true"
    assert count(deployment, Product) == 1


def test_a_refusal_is_an_answer_too(api, brand):
    ann = api.customer("ann")
    body = {"url": brand.path(600), "customer_id": ann}
    first = api.post("/claims", body, once="a")
    assert problem(first) == (409, "not-activated")
    api.made(f"/batches/{brand.batch.id}/activate")
    again = api.post("/claims", body, once="a")
    assert (problem(again), again.data) == ((409, "not-activated"), first.data)
    assert again.headers[REPLAYED] == "true"
    assert api.post("/claims", body, once="b").status_code == 201


def test_a_wrong_body_is_refused_the_same_and_another_is_a_mismatch(api):
    first = api.post("/products", "{nonsense", once="a")
    assert problem(first) == (400, "invalid-json")
    assert api.post("/products", "{nonsense", once="a").data == first.data
    assert problem(api.post("/products", PRODUCT, once="a")) == (422, "idempotency-mismatch")


def test_a_key_is_for_one_request(api, brand):
    api.made("/customers", {"external_id": "1"}, once="a")
    other_body = api.post("/customers", {"external_id": "2"}, once="a")
    assert problem(other_body) == (422, "idempotency-mismatch")
    other_path = api.post("/products", {"external_id": "1"}, once="a")
    assert problem(other_path) == (422, "idempotency-mismatch")
    batch = f"/batches/{brand.batch.id}"
    api.made(f"{batch}/activate", once="b")
    assert problem(api.post(f"{batch}/void", once="b")) == (422, "idempotency-mismatch")


def test_keys_of_two_systems_do_not_meet(api, app, deployment):
    other = Api(app, actions.add_api_key(deployment, "another system"))
    api.made("/customers", {"external_id": "1"}, once="a")
    assert other.post("/customers", {"external_id": "2"}, once="a").status_code == 201


def test_a_key_is_kept_for_a_day(api, deployment, clock):
    api.made("/products", PRODUCT, once="a")
    clock.advance(days=1)
    assert api.post("/products", PRODUCT, once="a").headers[REPLAYED] == "true"
    clock.advance(seconds=1)
    assert problem(api.post("/products", PRODUCT, once="a")) == (409, "product-exists")
    assert deployment.db.transact(lambda tx: idempotency.sweep(tx, clock.now())) == 0
    clock.advance(days=2)
    assert deployment.db.transact(lambda tx: idempotency.sweep(tx, clock.now())) == 1


def test_a_key_is_short_and_printable(api, deployment):
    for key in ("", "x" * 201, "caf\xe9", "a\tb"):
        refused = api.post("/products", PRODUCT, once=key)
        assert problem(refused) == (422, "invalid-input")
        assert refused.json["errors"][0]["field"] == "Idempotency-Key"
    assert count(deployment, Product) == 0


def test_a_request_in_flight_is_not_done_beside_itself(api, deployment, clock):
    digest = request_hash("POST", "/api/v1/customers", b'{"external_id": "1"}')
    deployment.db.transact(
        lambda tx: idempotency.begin(tx, deployment.keys, 1, "a", digest, clock.now())
    )
    body = {"external_id": "1"}
    clock.advance(seconds=59)
    assert problem(api.post("/customers", body, once="a")) == (409, "in-flight")
    other = api.post("/customers", {"external_id": "2"}, once="a")
    assert problem(other) == (422, "idempotency-mismatch")
    clock.advance(seconds=1)
    assert api.post("/customers", body, once="a").status_code == 201
    assert api.post("/customers", body, once="a").headers[REPLAYED] == "true"


@pytest.mark.parametrize("moment", ["before the effect", "after the effect", "with the answer"])
def test_a_process_that_dies_leaves_no_effect_and_is_taken_over(
    api, deployment, clock, monkeypatch, moment
):
    def die(*args, **kwargs):
        raise Died

    def work_and_die(*args, **kwargs):
        work(*args, **kwargs)
        raise Died

    work = actions.add_product
    with monkeypatch.context() as patch:
        if moment == "before the effect":
            patch.setattr(actions, "add_product", die)
        elif moment == "after the effect":
            patch.setattr(actions, "add_product", work_and_die)
        else:
            patch.setattr(idempotency, "finish", die)
        with pytest.raises(Died):
            api.post("/products", PRODUCT, once="a")
    assert count(deployment, Product) == 0
    assert problem(api.post("/products", PRODUCT, once="a")) == (409, "in-flight")
    clock.advance(seconds=60)
    assert api.post("/products", PRODUCT, once="a").status_code == 201
    assert count(deployment, Product) == 1


def test_what_may_pass_is_not_kept(api, deployment, monkeypatch):
    work = actions.add_product
    for failure, status in ((Unavailable, 503), (TooMany, 429), (RuntimeError, 500)):

        def fail(*args, failure=failure, **kwargs):
            work(*args, **kwargs)
            raise failure

        with monkeypatch.context() as patch:
            patch.setattr(actions, "add_product", fail)
            assert api.post("/products", PRODUCT, once="a").status_code == status
        assert count(deployment, Product) == 0
        assert count(deployment, IdempotentAnswer) == 0
    assert api.post("/products", PRODUCT, once="a").status_code == 201


def test_a_slow_process_that_was_taken_over_commits_nothing(api, deployment, monkeypatch):
    def finish_too_late(tx, keys, api_key_id, key, answer, started_at):
        # What another process writes when it takes over.
        tx.execute(sa.update(IdempotentAnswer).values(started_at=started_at.replace(year=2027)))
        finish(tx, keys, api_key_id, key, answer, started_at)

    finish = idempotency.finish
    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "finish", finish_too_late)
        assert problem(api.post("/products", PRODUCT, once="a")) == (409, "in-flight")
    assert count(deployment, Product) == 0


def test_the_same_request_many_times_at_once(api, deployment):
    start, answers = threading.Barrier(8), []

    def run() -> None:
        start.wait()
        answers.append(api.post("/products", PRODUCT, once="a"))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [answer for answer in answers if answer.status_code == 201]
    waiting = [answer for answer in answers if answer.status_code != 201]
    assert sum(REPLAYED not in answer.headers for answer in done) == 1
    assert len({answer.data for answer in done}) == 1
    assert {problem(answer) for answer in waiting} <= {(409, "in-flight")}
    assert count(deployment, Product) == 1


def test_who_a_request_is_about_cannot_be_read_in_what_is_kept(api, deployment):
    said = api.post("/customers", {"external_id": "member-4711"}, once="a")
    assert said.status_code == 201
    again = api.post("/customers", {"external_id": "member-4711"}, once="a")
    assert again.headers[REPLAYED] == "true"
    assert again.json == said.json
    plain = request_hash("POST", "/api/v1/customers", b'{"external_id": "member-4711"}')
    with deployment.db.read() as tx:
        kept = tx.scalars(sa.select(IdempotentAnswer)).one()
    assert kept.body is not None
    assert said.text not in kept.body
    assert kept.request_hash != plain
