import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from referral import actions, people
from referral.cli import care
from referral.clock import DatabaseClock, HeldClock
from referral.config import LANGUAGES
from referral.database_time import DatabaseTime
from referral.deployment import Deployment
from referral.misses import Misses
from referral.visits.months import month_of
from tests.cast import cast_of, open_brand
from tests.cli.conftest import Referral, told
from tests.test_places import CITIES, mmdb
from tests.visits.conftest import moments, opening, store, tables, without_months
from tests.wechat.fake import FakeWechat


def test_rewards_are_released_when_their_hold_is_over(
    referral: Referral, deployment: Deployment, clock: HeldClock
) -> None:
    brand = open_brand(deployment)
    alice, *_ = cast_of(brand)
    alice.claim(0)
    assert told(referral("rewards", "release", "--json"))["released"] >= 0
    assert told(referral("rewards", "release", "--json")) == {
        "released": 0,
        "expired": 0,
        "vouchers": 0,
    }


def test_what_is_of_no_use_any_more_is_swept(referral: Referral, deployment: Deployment) -> None:
    brand = open_brand(deployment)
    alice, *_ = cast_of(brand)
    alice.claim(0)  # with a one-time code, long ago by the real clock
    swept = told(referral("sweep", "--json"))
    assert swept["sign_in_codes"] >= 1
    dropped = {"limits", "answers", "sign_in_codes", "misses", "dead_links", "pictures"}
    assert swept["sealed"] >= 1
    of_visits = {"to_fetches", "to_opens", "visits", "months", "new_months", "months_put_off"}
    figures = {"tallied", "rates", "values", "tree"}
    of_staff = {"sealed_log", "staff_sessions", "staff_spent", "credits", "exports"}
    assert swept["sealed_log"] >= 1
    assert set(swept) == {*dropped, *of_visits, *figures, *of_staff, "sealed"}
    again = told(referral("sweep", "--json"))
    assert [again.pop(name) for name in ("months", "new_months")] == [[], []]
    assert set(again.values()) == {0}


def test_visits_that_nobody_keeps_are_swept(referral: Referral, deployment: Deployment) -> None:
    """In whole months, and by the real clock."""
    with without_months(deployment):
        now = datetime.now(UTC)
        old, kept = month_of(now, -2), month_of(now, -1)
        store(deployment, opening(old, campaign=None), opening(kept, campaign=None))
        assert told(referral("sweep", "--json"))["visits"] == 0
        names = [
            f"{month:%Y-%m}" for month in (old, kept, now, *(month_of(now, n) for n in (1, 2)))
        ]
        swept = referral("sweep", REFERRAL_KEEP_VISITS_MONTHS="1").stdout
        assert moments(deployment) == [kept]
        if deployment.db.is_sqlite:
            assert "Dropped 1 visits that their campaigns do not keep any more." in swept
        else:
            assert f"Dropped all visits of {names[0]}." in swept
            assert set(tables(deployment)) == {name.replace("-", "_") for name in names[1:]} | {
                "rest"
            }


def test_months_that_are_made_are_told(referral: Referral, deployment: Deployment) -> None:
    with without_months(deployment):
        now = datetime.now(UTC)
        names = [f"{month_of(now, later):%Y-%m}" for later in range(3)]
        asked = [line for line in referral("doctor").stdout.splitlines() if " months " in line]
        swept = referral("sweep").stdout
        if deployment.db.is_sqlite:
            assert "Ready for" not in swept
            return
        [line] = asked
        assert line.startswith(f"LOOK  months       {names[0]}, {names[1]} have no table of their")
        assert f"Ready for the visits of {', '.join(names)}." in swept
        assert "ok    months       visits of this one" in referral("doctor").stdout


def test_one_time_codes_in_use_are_kept(deployment: Deployment, clock: HeldClock) -> None:
    contact, now = people.contact("dora@example.com"), clock.now()

    def issue_and_sweep(after: timedelta) -> int:
        def work(tx: sa.orm.Session) -> int:
            people.issue_sign_in_code(tx, deployment.keys, contact, "123456", 2001, now)
            return people.sweep_sign_in_codes(tx, now + after)

        return deployment.db.transact(work)

    assert issue_and_sweep(timedelta(minutes=9)) == 0
    assert issue_and_sweep(timedelta(minutes=10)) == 1


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of compiled translations: those of this checkout may not be compiled yet."""
    for tag in LANGUAGES:
        folder = tmp_path / "translations" / tag.replace("-", "_") / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "messages.mo").touch()
    monkeypatch.setattr(care, "TRANSLATIONS", tmp_path / "translations")
    return tmp_path / "translations"


def test_the_doctor_finds_nothing(
    referral: Referral, deployment: Deployment, compiled: Path
) -> None:
    open_brand(deployment)
    found = told(referral("doctor", "--json"))
    assert found["ok"] is True
    checked = {check["name"] for check in found["checks"]}
    assert checked >= {"settings", "translations", "database", "secret keys", "ledger"}
    assert checked >= {"regions", "wrong codes"}
    assert ("redis" in checked) == (deployment.config.redis_url is not None)


@pytest.mark.parametrize("off, words", [(600, "ahead of it"), (-600, "behind it")])
def test_the_doctor_tells_of_a_database_whose_clock_was_set(
    deployment: Deployment, referral: Referral, compiled: Path, off: int, words: str
) -> None:
    assert "ok    clock        the database's\n" in referral("doctor").stdout
    source = DatabaseTime(deployment.db)
    told = source.read()
    source.go_on_from(told._replace(time=told.time + timedelta(seconds=off)))
    (line,) = (each for each in referral("doctor").stdout.splitlines() if " clock " in each)
    said = rf".+ the service is (600|599) seconds {words}, .+ in (200|199) minutes"
    assert re.fullmatch(f"LOOK  clock        {said}", line)


def test_the_doctor_says_what_is_wrong(
    referral: Referral, deployment: Deployment, compiled: Path, bare_database_url: str
) -> None:
    open_brand(deployment)
    for settings, name in (
        ({"REFERRAL_SECRET_KEYS": "quite-another-key-than-before"}, "secret keys"),
        ({"REFERRAL_REDIS_URL": "redis://127.0.0.1:9/0"}, "redis"),
        ({"REFERRAL_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/x"}, "database"),
        ({"REFERRAL_DATABASE_URL": bare_database_url}, "database"),
        ({"REFERRAL_LANG": "tlh"}, "settings"),
        ({"REFERRAL_GEOIP": __file__}, "regions"),
    ):
        result = referral("doctor", **settings)
        assert result.exit_code == 1, settings
        failed = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
        assert len(failed) == 1, result.stdout
        assert name in failed[0]
        assert result.stderr == f"Error: Something is wrong with: {name}.\n"
    (compiled / "en" / "LC_MESSAGES" / "messages.mo").unlink()
    assert "not compiled: en" in referral("doctor").stdout


def test_the_doctor_asks_wechat(
    referral: Referral, deployment: Deployment, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    open_brand(deployment)
    with FakeWechat() as there:
        settings = {
            "REFERRAL_WECHAT_APP_ID": there.app_id,
            "REFERRAL_WECHAT_SECRET": there.secret,
            "REFERRAL_WECHAT_API": there.url,
        }
        assert (
            f"ok    wechat       {there.app_id} gets what" in referral("doctor", **settings).stdout
        )
        there.answer_next("stable_token", 40164)
        refused = referral("doctor", **settings)
        assert refused.exit_code == 1
        assert "FAIL  wechat       WeChat answers with error 40164; docs" in refused.stdout
        assert there.secret not in refused.output


def test_the_doctor_tells_of_wrong_codes_and_is_well(
    referral: Referral, deployment: Deployment, compiled: Path
) -> None:
    brand = open_brand(deployment)
    here = Misses(
        deployment.db, DatabaseClock(DatabaseTime(deployment.db))
    )  # the command's clock is real
    for _ in range(12_345):
        here.count(brand.product.gtin, brand.batch.id)
    here.flush()
    actions.seal(deployment)
    actions.seal_audit_log(deployment)
    result = referral("doctor")
    assert result.exit_code == 0
    [line] = [line for line in result.stdout.splitlines() if line.startswith("LOOK")]
    assert "wrong codes  12,345 codes that do not exist were tried near batch" in line
    told_of = [check for check in told(referral("doctor", "--json"))["checks"] if check["alarm"]]
    assert [check["name"] for check in told_of] == ["wrong codes"]


def test_the_doctor_says_which_file_regions_come_from(
    referral: Referral, deployment: Deployment, compiled: Path, tmp_path: Path
) -> None:
    open_brand(deployment)
    assert "regions      unknown, as no file is set" in referral("doctor").stdout
    path = mmdb(tmp_path / "cities.mmdb", CITIES)
    assert "regions      City of 20" in referral("doctor", REFERRAL_GEOIP=str(path)).stdout
