"""Settings: each wrong one stops the start with one sentence that says what to do."""

import os
import stat
from pathlib import Path

import pytest

from referral.config import Config, ConfigError, OidcSettings, ValueSettings, WechatSettings
from tests.races import at_once

KEYS = "an-older-key-for-the-tests-only,the-newest-key-for-the-tests-only"


def read(tmp_path: Path, **settings: str) -> Config:
    return Config.from_env(
        {"REFERRAL_DATA_DIR": str(tmp_path), **{f"REFERRAL_{k}": v for k, v in settings.items()}}
    )


def test_without_settings_it_is_a_trial_on_this_machine(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert config.database_url == f"sqlite:///{tmp_path / 'referral.db'}"
    assert config.base_url == "http://127.0.0.1:8000"
    assert not config.is_https
    assert (config.redis_url, config.geoip, config.trusted_proxies) == (None, None, 0)
    assert (config.lang, config.timezone, config.sender) == ("zh-Hans", "Asia/Shanghai", "demo")


OIDC = {
    "OIDC_ISSUER": "https://login.brand.example/realms/brand",
    "OIDC_CLIENT_ID": "console",
    "OIDC_CLIENT_SECRET": "secret",
}


def test_single_sign_on_is_all_of_its_settings_or_none(tmp_path: Path) -> None:
    assert read(tmp_path).oidc is None
    settings = read(tmp_path, **OIDC).oidc
    assert settings == OidcSettings(*OIDC.values())
    assert "secret'" not in repr(settings)
    for name in OIDC:
        with pytest.raises(ConfigError, match=f"REFERRAL_{name} is missing"):
            read(tmp_path, **{**OIDC, name: ""})


@pytest.mark.parametrize(
    "issuer",
    [
        "login.brand.example",
        "http://login.brand.example",
        "https://",
        "https://a/?b",
        "https://[",
        "https://a#b",
        "ftp://a",
        "https://a:x",
    ],
)
def test_an_issuer_that_is_no_safe_address_is_refused(tmp_path: Path, issuer: str) -> None:
    with pytest.raises(ConfigError, match="REFERRAL_OIDC_ISSUER must be"):
        read(tmp_path, **{**OIDC, "OIDC_ISSUER": issuer})
    local = read(tmp_path, **{**OIDC, "OIDC_ISSUER": "http://127.0.0.1:8080/realms/x"}).oidc
    assert local


def test_roles_that_need_a_second_factor_are_roles(tmp_path: Path) -> None:
    assert read(tmp_path).second_factor_roles == frozenset()
    named = read(tmp_path, SECOND_FACTOR_ROLES="owner, support,").second_factor_roles
    assert named == {"owner", "support"}
    with pytest.raises(ConfigError, match="'king' is no role; write some of owner,"):
        read(tmp_path, SECOND_FACTOR_ROLES="owner,king")


def test_what_values_are_worked_out_with_is_read_in_small_units(tmp_path: Path) -> None:
    assert read(tmp_path).values == ValueSettings("CNY", 4_000, 1_000, 50_000, "both")
    said = {"VALUE_CURRENCY": "jpy", "VALUE_MARGIN": "33.3", "VALUE_DISCOUNT": "0"}
    more = {"NEW_CUSTOMER_COST": "1200", "VALUE_PURCHASES": "claims"}
    assert read(tmp_path, **said, **more).values == ValueSettings("JPY", 3_330, 0, 1_200, "claims")


def test_the_data_folder_defaults_to_var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Config.from_env({}).data_dir == tmp_path / "var"
    assert (tmp_path / "var").is_dir()


def test_the_port_is_part_of_the_default_address(tmp_path: Path) -> None:
    config = Config.from_env({"REFERRAL_DATA_DIR": str(tmp_path), "PORT": "9123"})
    assert config.base_url == "http://127.0.0.1:9123"


def test_it_reads_every_setting(tmp_path: Path) -> None:
    geoip = tmp_path / "regions.mmdb"
    geoip.touch()
    config = read(
        tmp_path,
        DATABASE_URL="postgresql://user:p%40ss@db.example:5433/brand",
        REDIS_URL="valkey://cache.example:6379/2",
        BASE_URL="https://brand.example/",
        SECRET_KEYS=f" {KEYS} ,",
        BRAND="某某茶",
        LANG="zh_hant",
        TIMEZONE="Europe/Berlin",
        TRUSTED_PROXIES="2",
        GEOIP=str(geoip),
        SENDER="smtp://user:secret@mail.example:587",
        WECHAT_APP_ID="wx0123456789abcdef",
        WECHAT_SECRET="0123456789abcdef0123456789abcdef",
        WECHAT_API="https://proxy.example/wechat/",
        WECHAT_PROOF="MP_verify_aBcDeFgH12345678.txt",
        SHOPS="Shop.example, *.brand.example,,shop.example:443 ",
        KEEP_VISITS_MONTHS=" 13 ",
    )
    assert config.database_url == "postgresql+psycopg://user:p%40ss@db.example:5433/brand"
    assert config.redis_url == "redis://cache.example:6379/2"
    assert config.base_url == "https://brand.example"
    assert config.is_https
    assert config.secret_keys == tuple(KEYS.split(","))
    assert (config.brand, config.lang, config.timezone) == ("某某茶", "zh-Hant", "Europe/Berlin")
    assert (config.trusted_proxies, config.geoip) == (2, geoip)
    assert config.sender == "smtp://user:secret@mail.example:587"
    assert config.shops == ("shop.example", "*.brand.example")
    assert config.keep_visits_months == 13
    assert config.wechat == WechatSettings(
        app_id="wx0123456789abcdef",
        secret="0123456789abcdef0123456789abcdef",
        api="https://proxy.example/wechat",
        open="https://open.weixin.qq.com",
        proof="MP_verify_aBcDeFgH12345678.txt",
    )
    assert config.wechat.secret not in repr(config)


def test_an_empty_setting_is_one_that_was_not_given(tmp_path: Path) -> None:
    assert read(tmp_path, BASE_URL="", LANG="  ", REDIS_URL="", SECRET_KEYS=" ") == read(tmp_path)


@pytest.mark.parametrize(
    "url",
    ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"],
)
def test_every_way_of_naming_postgresql_is_understood(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, DATABASE_URL=url).database_url == "postgresql+psycopg://u:p@h/d"


def test_a_unix_socket_and_tls_are_ways_to_redis(tmp_path: Path) -> None:
    for url in ("unix:///run/valkey.sock", "rediss://cache.example/0"):
        assert read(tmp_path, REDIS_URL=url).redis_url == url
    assert read(tmp_path, REDIS_URL="valkeys://c/0").redis_url == "rediss://c/0"


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("DATABASE_URL", "my database", "REFERRAL_DATABASE_URL is not a database address"),
        ("DATABASE_URL", "mysql://root@db/x", "names mysql; only sqlite and postgresql"),
        ("KEEP_VISITS_MONTHS", "0", "REFERRAL_KEEP_VISITS_MONTHS must be a number from 1 to 120"),
        ("VALUE_CURRENCY", "YUAN", "REFERRAL_VALUE_CURRENCY: 'YUAN' is no currency's three"),
        ("VALUE_MARGIN", "101", "REFERRAL_VALUE_MARGIN must be a number from 0 to 100"),
        ("VALUE_MARGIN", "40.125", "REFERRAL_VALUE_MARGIN must be a number from 0 to 100"),
        ("VALUE_DISCOUNT", "-1", "REFERRAL_VALUE_DISCOUNT must be a number from 0 to 1000"),
        ("NEW_CUSTOMER_COST", "many", "REFERRAL_NEW_CUSTOMER_COST must be a number from 0"),
        ("VALUE_PURCHASES", "all", "REFERRAL_VALUE_PURCHASES: 'all' is none of both, claims"),
        ("KEEP_VISITS_MONTHS", "121", "not '121'; leave it out to keep visits for ever"),
        ("KEEP_VISITS_MONTHS", "-1", "a number from 1 to 120"),
        ("KEEP_VISITS_MONTHS", "a year", "a number from 1 to 120"),
        ("SHOPS", "ok.example, https://shop.example/", "'https://shop.example/' is no host"),
        ("SHOPS", "*", "REFERRAL_SHOPS: '*' is no host"),
        ("SHOPS", "*.com", "REFERRAL_SHOPS: '*.com' is no host"),
        ("SHOPS", "商店.example", "write hosts in ASCII"),
        ("DATABASE_URL", "postgresql://h:port/d", "REFERRAL_DATABASE_URL is not a database"),
        ("REDIS_URL", "http://cache", "REFERRAL_REDIS_URL must start with redis://"),
        ("REDIS_URL", "cache:6379", "REFERRAL_REDIS_URL must start with redis://"),
        ("REDIS_URL", "redis://cache:port/0", "REFERRAL_REDIS_URL"),
        ("REDIS_URL", "redis://[cache/0", "REFERRAL_REDIS_URL"),
        ("BASE_URL", "brand.example", "REFERRAL_BASE_URL must be an address"),
        ("BASE_URL", "ftp://brand.example", "REFERRAL_BASE_URL must be an address"),
        ("BASE_URL", "https://brand.example/?a=1", "with nothing after the host and port"),
        ("BASE_URL", "https://brand.example/#top", "with nothing after the host and port"),
        ("BASE_URL", "https://", "REFERRAL_BASE_URL must be an address"),
        ("BASE_URL", "https://[brand", "REFERRAL_BASE_URL must be an address"),
        ("BASE_URL", "https://brand.example:port", "REFERRAL_BASE_URL must be an address"),
        ("BASE_URL", "https://straße.example", "REFERRAL_BASE_URL must have a host of ASCII"),
        ("BASE_URL", "https://品牌.example", "REFERRAL_BASE_URL must have a host of ASCII"),
        ("BASE_URL", "https://user:pw@brand.example", "no user or password before it"),
        ("BASE_URL", "https://@brand.example", "no user or password before it"),
        ("BASE_URL", "https://brand.example>", "REFERRAL_BASE_URL must have a host of ASCII"),
        ("SECRET_KEYS", "short", "every key needs at least 16 characters"),
        ("SECRET_KEYS", f"{KEYS},short", "every key needs at least 16 characters"),
        ("SECRET_KEYS", ",", "every key needs at least 16 characters"),
        ("LANG", "de", "REFERRAL_LANG must be one of zh-Hans, zh-Hant, en, not 'de'"),
        ("TIMEZONE", "Peking", "'Peking' is no time zone"),
        ("TRUSTED_PROXIES", "-1", "must be a number from 0 to 10, not '-1'"),
        ("TRUSTED_PROXIES", "many", "must be a number from 0 to 10"),
        ("TRUSTED_PROXIES", "11", "must be a number from 0 to 10"),
        ("TRUSTED_PROXIES", "²", "must be a number from 0 to 10"),
        ("GEOIP", "/nowhere/regions.mmdb", "there is no file /nowhere/regions.mmdb"),
        ("SENDER", "pigeon", "REFERRAL_SENDER must be demo, or an address"),
        ("SENDER", "ftp://mail", "REFERRAL_SENDER must be demo, or an address"),
        ("SENDER", "https://", "REFERRAL_SENDER must be demo, or an address"),
        ("SENDER", "smtp://mail:port", "REFERRAL_SENDER must be demo, or an address"),
    ],
)
def test_it_rejects_a_wrong_setting(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, **{name: value})
    said = str(refused.value)
    assert sentence in said
    assert f"REFERRAL_{name}" in said
    assert "\n" not in said
    assert said.endswith(".")


def test_a_public_address_needs_a_way_to_send_codes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="REFERRAL_SENDER must say how one-time codes are sent"):
        read(tmp_path, BASE_URL="https://brand.example")
    assert read(tmp_path, BASE_URL="https://brand.example", SENDER="demo").sender == "demo"


WECHAT = {"WECHAT_APP_ID": "wx0123456789abcdef", "WECHAT_SECRET": "0123456789abcdef"}


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"WECHAT_APP_ID": "wx0123456789abcdef"}, "REFERRAL_WECHAT_SECRET is missing"),
        ({"WECHAT_SECRET": "0123456789abcdef"}, "REFERRAL_WECHAT_APP_ID is missing"),
        ({"WECHAT_API": "https://proxy.example"}, "REFERRAL_WECHAT_APP_ID is missing"),
        ({**WECHAT, "WECHAT_APP_ID": "wx 1"}, "REFERRAL_WECHAT_APP_ID is not as WeChat shows it"),
        ({**WECHAT, "WECHAT_SECRET": "a b c d"}, "REFERRAL_WECHAT_SECRET is not as WeChat"),
        ({**WECHAT, "WECHAT_API": "proxy.example"}, "REFERRAL_WECHAT_API must be an address"),
        ({**WECHAT, "WECHAT_OPEN": "ftp://x.example"}, "REFERRAL_WECHAT_OPEN must be an address"),
        ({**WECHAT, "WECHAT_PROOF": "/etc/passwd"}, "REFERRAL_WECHAT_PROOF must be the name"),
        ({**WECHAT, "WECHAT_PROOF": "MP_verify_a/b.txt"}, "REFERRAL_WECHAT_PROOF must be"),
    ],
)
def test_it_rejects_half_an_account_at_wechat(
    tmp_path: Path, given: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, **given)
    said = str(refused.value)
    assert sentence in said
    assert "\n" not in said
    assert said.endswith(".")
    assert "0123456789abcdef" not in said, "not even a wrong secret is repeated"


def test_without_an_account_at_wechat_there_is_none(tmp_path: Path) -> None:
    assert read(tmp_path).wechat is None
    there = read(tmp_path, **WECHAT).wechat
    assert there is not None
    assert (there.api, there.open) == ("https://api.weixin.qq.com", "https://open.weixin.qq.com")


def test_it_says_when_the_data_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"REFERRAL_DATA_DIR: the folder .* cannot be made"):
        read(tmp_path / "file" / "folder")


# The secret keys' file


def test_a_secret_key_is_made_once_and_kept_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        first = read(tmp_path)
    finally:
        os.umask(before)
    path = tmp_path / "secret-keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first.secret_keys) == 1
    assert len(first.secret_keys[0]) >= 48
    assert read(tmp_path).secret_keys == first.secret_keys
    assert [each.name for each in tmp_path.iterdir()] == ["secret-keys"]


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    assert read(tmp_path / "a").secret_keys != read(tmp_path / "b").secret_keys


def test_processes_that_start_together_have_the_same_key(tmp_path: Path) -> None:
    for number in range(10):
        folder = tmp_path / str(number)
        found = at_once([lambda: read(folder)] * 8)  # noqa: B023 - done before the next round
        assert len({str(getattr(each, "secret_keys", each)) for each in found}) == 1
        assert isinstance(found[0], Config)


def test_keys_can_be_added_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "secret-keys").write_text("an-older-key,the-newest-key\n")
    assert read(tmp_path).secret_keys == ("an-older-key", "the-newest-key")


def test_named_keys_leave_no_file(tmp_path: Path) -> None:
    read(tmp_path, SECRET_KEYS=KEYS)
    assert list(tmp_path.iterdir()) == []


def test_it_says_when_the_keys_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "secret-keys").touch()
    with pytest.raises(ConfigError, match=r"secret-keys is empty; delete it"):
        read(tmp_path)


def test_it_says_when_the_keys_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret-keys").mkdir()
    with pytest.raises(ConfigError, match=r"secret-keys .*cannot be"):
        read(tmp_path)
