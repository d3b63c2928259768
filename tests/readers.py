"""A person with a phone, without scripts: requests, cookies and forms through the real pages."""

import html
import re
from urllib.parse import quote, urlsplit

from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Mobile/15E148 MicroMessenger/8.0.53 NetType/WIFI Language/zh_CN"
)


class Reader:
    """Opens pages and sends their forms, as a browser would."""

    def __init__(self, app: Flask, *, lang: str = "en", agent: str = PHONE) -> None:
        self._client = app.test_client()
        self._headers = {"User-Agent": agent, "Accept-Language": lang}
        self.page = ""
        """The text of the page last answered."""

    def get(self, address: str, **headers: str) -> TestResponse:
        parts = urlsplit(address)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return self._kept(self._client.get(path, headers={**self._headers, **headers}))

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> TestResponse:
        """POST with nothing added: what a forger or a beacon would send."""
        sent = {**self._headers, **headers}
        return self._kept(self._client.post(path, data=fields or {}, headers=sent))

    def post_json(self, path: str, body: str) -> TestResponse:
        return self._kept(
            self._client.post(
                path, data=body, content_type="application/json", headers=self._headers
            )
        )

    def post_file(self, path: str, fields: dict[str, str], **files: FileStorage) -> TestResponse:
        """POST a form with files in it."""
        # Left to the client, a large one would be written to a file that it never closes.
        boundary, body = encode_multipart({**fields, **files})
        kind = f"multipart/form-data; boundary={boundary}"
        answer = self._client.post(path, data=body, content_type=kind, headers=self._headers)
        return self._kept(answer)

    def send(self, path: str, **fields: str) -> TestResponse:
        """Send the form of the page last opened, with its token against forgery."""
        return self.post(path, {"csrf_token": self.form_token(), **fields})

    def form_token(self) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.page)
        assert found, f"no form on this page:\n{self.page}"
        return found[1]

    def cookie(self, name: str) -> str | None:
        kept = self._client.get_cookie(name)
        return kept.value if kept else None

    def forget_cookie(self, name: str) -> None:
        self._client.delete_cookie(name)

    def set_cookie(self, name: str, value: str) -> None:
        self._client.set_cookie(name, value)

    @property
    def heading(self) -> str:
        found = re.search(r"<h1[^>]*>(.*?)</h1>", self.page, re.DOTALL)
        return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""

    @property
    def own_link(self) -> str:
        """The path of the reader's own share link on the page last opened."""
        found = re.search(r'data-own-link href="([^"]+)"', self.page)
        assert found, f"no own link on this page:\n{self.page}"
        return urlsplit(found[1]).path

    def sign_in(self, contact: str, *, then: str = "/me") -> TestResponse:
        """Sign in with the one-time code that the demo sender shows on the page."""
        self.get(f"/sign-in?next={quote(then)}")
        answer = self.send("/sign-in", contact=contact, agree="1", next=then)
        assert answer.status_code == 303, self.page
        self.get("/sign-in/code")
        answer = self.send("/sign-in/code", code=self.shown_code())
        assert answer.status_code == 303, self.page
        return self.get(answer.location)

    def shown_code(self) -> str:
        found = re.search(r"\b\d{6}\b", re.sub(r"<[^>]+>", " ", self.page))
        assert found, f"no one-time code on this page:\n{self.page}"
        return found[0]

    def claim(self, scan_path: str) -> TestResponse:
        """Scan a code, press the button, and follow to the page that says what came of it."""
        self.get(scan_path)
        answer = self.send(f"{scan_path}/claim")
        return self.get(answer.location) if answer.status_code == 303 else answer

    def _kept(self, answer: TestResponse) -> TestResponse:
        self.page = answer.text if answer.mimetype == "text/html" else ""
        answer.get_data()
        answer.close()  # files that were sent are open until then
        return answer
