"""Statements as PDF: plain values in, bytes out, without a database and without network."""

from billing.statements.documents.content import FileTold, StatementDocument
from billing.statements.documents.render import render_statement

__all__ = ["FileTold", "StatementDocument", "render_statement"]
