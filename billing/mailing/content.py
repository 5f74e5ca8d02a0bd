"""What the mail with a document says, in the document's language."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from django.template.loader import render_to_string
from django.utils.translation import gettext, override

from billing.invoicing.documents.formats import date_text, days_text, literal, money_text
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFacts:
    """The document as its mail tells it; `due` is what is left to pay, `first_day` and `last_day` are both
    of the period."""

    language: str
    number: str
    seller: str
    buyer: str
    total: Money
    due: Money
    due_on: date
    first_day: date
    last_day: date
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNoteFacts:
    """A credit note as its mail tells it; `invoice` is the number of the one that it corrects, "" of none."""

    language: str
    number: str
    seller: str
    buyer: str
    invoice: str
    total: Money
    to_receivable: Money
    to_balance: Money
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailText:
    """The same said twice, and its subject in one line."""

    subject: str
    text: str
    html: str


_INVOICE: Final = "billing/mail/invoice"
_CREDIT_NOTE: Final = "billing/mail/credit_note"


def invoice_mail(facts: MailFacts) -> MailText:
    """What goes with an invoice; names are printed literally."""
    language = facts.language
    said = {
        "language": language,
        "number": _name(facts.number),
        "seller": _name(facts.seller),
        "buyer": _name(facts.buyer),
        "total": money_text(facts.total, language=language),
        "due": money_text(facts.due, language=language) if facts.due.minor > 0 else "",
        "due_on": date_text(facts.due_on, language=language),
        "period": days_text(facts.first_day, facts.last_day, language=language),
        "url": facts.url,
    }
    with override(language):
        subject = gettext("Invoice %(number)s from %(seller)s") % said
        return _said(_INVOICE, subject, said)


def credit_note_mail(facts: CreditNoteFacts) -> MailText:
    """What goes with a credit note; names are printed literally."""
    language = facts.language
    said = {
        "language": language,
        "number": _name(facts.number),
        "seller": _name(facts.seller),
        "buyer": _name(facts.buyer),
        "invoice": _name(facts.invoice),
        "total": money_text(facts.total, language=language),
        "to_receivable": money_text(facts.to_receivable, language=language)
        if facts.to_receivable
        else "",
        "to_balance": money_text(facts.to_balance, language=language) if facts.to_balance else "",
        "url": facts.url,
    }
    with override(language):
        subject = gettext("Credit note %(number)s from %(seller)s") % said
        return _said(_CREDIT_NOTE, subject, said)


def _said(layout: str, subject: str, said: dict[str, str]) -> MailText:
    return MailText(
        subject=subject,
        text=render_to_string(f"{layout}.txt", said),
        html=render_to_string(f"{layout}.html", {**said, "subject": subject}),
    )


def _name(text: str) -> str:
    """On one line: a line break in a subject would begin another header."""
    return " ".join(literal(text, breakable=False).split())
