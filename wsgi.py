"""What a WSGI server imports."""

from referral import create_app

app = create_app()
