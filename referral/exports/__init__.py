"""Exports: lists as files, made in the background.

`kinds` says which lists there are, `jobs` keeps who wants which and the files, and `writing` turns
rows into the pieces of a file.
"""

from referral.exports.jobs import Asked, Export, Form, State, TooManyExports, UnknownExport, Why
from referral.exports.kinds import Column, Kind, Page, Wanted, register

__all__ = [
    "Asked",
    "Column",
    "Export",
    "Form",
    "Kind",
    "Page",
    "State",
    "TooManyExports",
    "UnknownExport",
    "Wanted",
    "Why",
    "register",
]
