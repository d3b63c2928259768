"""The page a developer reads: every call with its fields, and every kind of problem."""

from flask import Blueprint, current_app, render_template

api_docs = Blueprint("api_docs", __name__)


@api_docs.get("/api/docs")
def show() -> str:
    """To do."""
    return ""
