"""Alarms as staff see them."""

from datetime import timedelta

from flask import Flask, render_template

from referral.config import LANGUAGES
from referral.reports.alarms import About, Alarm
from tests.conftest import START

NAME = "Batch <b>7</b> & 100%(x)s"


def shown(app: Flask, about: About, lang: str = "en", path: str = "/staff/") -> str:
    alarm = Alarm(about, 7, NAME, 12_345, START - timedelta(hours=1), 2.25, 6_789)
    with app.test_request_context(f"{path}?lang={lang}"):
        return render_template("staff/_alarms.html", alarms=[alarm])


def test_an_alarm_has_its_figures_and_what_to_do(app: Flask) -> None:
    for about in About:
        page = shown(app, about)
        for figure in ("12,345", "6,789", "2.2"):
            assert figure in page
        assert "wrong codes never pay" in page.lower()


def test_names_are_only_text(app: Flask) -> None:
    for about in (About.batch, About.product):
        for lang in LANGUAGES:
            page = shown(app, about, lang)
            assert "Batch &lt;b&gt;7&lt;/b&gt; &amp; 100%(x)s" in page


def test_it_leads_to_its_batch_from_elsewhere(app: Flask) -> None:
    assert 'href="/staff/batches/7"' in shown(app, About.batch)
    assert 'href="/staff/batches/7"' not in shown(app, About.product)
    assert 'href="/staff/batches/7"' not in shown(app, About.batch, path="/staff/batches/7")


def test_without_alarms_there_is_nothing(app: Flask) -> None:
    with app.test_request_context("/staff/"):
        assert render_template("staff/_alarms.html", alarms=[]).strip() == ""
