"""The words of a printed document. They follow the document's language, not the reader's.

Any language that has a catalogue (`locale/`) can be printed; what a catalogue lacks stays English.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import override, pgettext_lazy, to_language, to_locale

ENGLISH: Final = "en"
CHINESE: Final = "zh-hans"
_SIMPLIFIED: Final = frozenset({"zh", "zh-hans", "zh-cn", "zh-sg", "zh-hans-cn"})
_TAG: Final = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")

# In Chinese an invoice is 账单 and not 发票: the latter is the tax document that only the tax authority's
# system issues, and this paper must not be mistaken for it.
WORDS: Final[Mapping[str, Promise]] = {
    "title": pgettext_lazy("document", "Invoice"),
    "proforma": pgettext_lazy("document", "Pro-forma"),
    "proforma_number": pgettext_lazy("document", "Reference"),
    "proforma_valid": pgettext_lazy("document", "Valid until"),
    "proforma_notice": pgettext_lazy(
        "document", "This is no invoice: nothing is due by it, and no tax can be deducted."
    ),
    "after_proforma": pgettext_lazy("document", "After pro-forma {references}."),
    "credit_note": pgettext_lazy("document", "Credit note"),
    "credit_note_number": pgettext_lazy("document", "Credit note number"),
    "credit_note_buyer": pgettext_lazy("document", "Credited to"),
    "corrects": pgettext_lazy("document", "Corrects invoice"),
    "corrects_of": pgettext_lazy("document", "Issued on"),
    "service": pgettext_lazy("document", "Days of service"),
    "credited": pgettext_lazy("document", "Credited"),
    "credit_becomes": pgettext_lazy("document", "What becomes of it"),
    "to_receivable": pgettext_lazy(
        "document", "{amount} comes off what is owed on invoice {number}."
    ),
    "to_balance": pgettext_lazy("document", "{amount} goes to your balance."),
    "reason": pgettext_lazy("document", "Reason: {reason}"),
    "late_usage_reason": pgettext_lazy("document", "Late usage of periods that were billed before"),
    "paused_reason": pgettext_lazy("document", "Paused within the period"),
    "resumed_reason": pgettext_lazy("document", "Resumed within the period"),
    "cancelled_reason": pgettext_lazy("document", "Cancelled within the period"),
    "number": pgettext_lazy("document", "Invoice number"),
    "issued_on": pgettext_lazy("document", "Date of issue"),
    "due_on": pgettext_lazy("document", "Due date"),
    "period": pgettext_lazy("document", "Billing period"),
    "zone": pgettext_lazy("document", "Days are days of"),
    "seller": pgettext_lazy("document", "From"),
    "buyer": pgettext_lazy("document", "Bill to"),
    "tax_id": pgettext_lazy("document", "Tax ID"),
    "registration_id": pgettext_lazy("document", "Register number"),
    "order_number": pgettext_lazy("document", "Order number"),
    "buyer_reference": pgettext_lazy("document", "Your reference"),
    "account": pgettext_lazy("document", "Account {account}"),
    "bank": pgettext_lazy("document", "BIC {bank}"),
    "representative": pgettext_lazy(
        "document", "Tax representative: {name}, {address}, tax ID {tax_id}"
    ),
    "national_tax": pgettext_lazy(
        "document", "Tax in {currency}: {amount} (1 {base} = {rate} {quote}, {source}, {day})"
    ),
    "reference": pgettext_lazy("document", "Account"),
    "description": pgettext_lazy("document", "Description"),
    "quantity": pgettext_lazy("document", "Quantity"),
    "unit_price": pgettext_lazy("document", "Unit price"),
    "amount": pgettext_lazy("document", "Amount"),
    "subtotal": pgettext_lazy("document", "Subtotal"),
    "discount": pgettext_lazy("document", "Discount"),
    "tax": pgettext_lazy("document", "Tax"),
    "discounted": pgettext_lazy("document", "Discount {amount}"),
    "net": pgettext_lazy("document", "Net"),
    "tax_rate": pgettext_lazy("document", "Tax rate"),
    "taxable": pgettext_lazy("document", "Taxable amount"),
    "tax_amount": pgettext_lazy("document", "Tax"),
    "tax_standard": pgettext_lazy("document", "{rate}"),
    "tax_zero": pgettext_lazy("document", "{rate}"),
    "tax_exempt": pgettext_lazy("document", "Exempt"),
    "tax_reverse_charge": pgettext_lazy("document", "Reverse charge"),
    "tax_none": pgettext_lazy("document", "No tax"),
    "reverse_charge_text": pgettext_lazy("document", "Reverse charge: the recipient owes the tax."),
    "total": pgettext_lazy("document", "Total"),
    "paid": pgettext_lazy("document", "Paid"),
    "due": pgettext_lazy("document", "Amount due"),
    "payment": pgettext_lazy("document", "How to pay"),
    "pay_by": pgettext_lazy("document", "Please pay {amount} by {day}."),
    "transfer_code": pgettext_lazy("document", "Scan it with your banking app"),
    "transfer_code_says": pgettext_lazy(
        "document", "QR code of a SEPA credit transfer of {amount} to {iban}"
    ),
    "payment_reference": pgettext_lazy(
        "document", "Please give {number} as the payment reference."
    ),
    "no_payment": pgettext_lazy("document", "Nothing is left to pay."),
    "page": pgettext_lazy("document", "Page {page} of {pages}"),
    "amounts_in": pgettext_lazy("document", "All amounts in {currency}"),
    "to": pgettext_lazy("document", " to "),
    "colon": pgettext_lazy("document", ": "),
    "semicolon": pgettext_lazy("document", "; "),
    "on": pgettext_lazy("document", " on {day}"),
    "included": pgettext_lazy("document", "{quantity} included"),
    "charged": pgettext_lazy("document", "{quantity} charged"),
    "share": pgettext_lazy("document", "{share} of the period"),
    "true_up": pgettext_lazy("document", "up to the minimum of {minimum}"),
    "plan_minimum": pgettext_lazy("document", "up to the plan's minimum of {minimum}"),
    "plan_maximum": pgettext_lazy("document", "down to the plan's maximum of {maximum}"),
    "maximum": pgettext_lazy("document", "at most {maximum}"),
    "more": pgettext_lazy("document", "and {count} more tiers"),
    "late": pgettext_lazy("document", "late usage"),
    "late_instead": pgettext_lazy("document", "{rated} due instead of {billed} on {invoice}"),
    "late_unbilled": pgettext_lazy("document", "{rated} due where nothing had been billed"),
    "late_quantity": pgettext_lazy("document", "quantity {now} instead of {before}"),
    "late_days": pgettext_lazy("document", "changed on {days}"),
    "late_credited": pgettext_lazy("document", "{credited} was credited already"),
    "more_days": pgettext_lazy("document", "and {count} more days"),
    "committed": pgettext_lazy("document", "{amount} committed"),
    "billed_on": pgettext_lazy("document", "{amount} billed on {documents}"),
    "billed_nowhere": pgettext_lazy("document", "nothing billed of it"),
    "more_documents": pgettext_lazy("document", "and {count} more documents"),
    "comma": pgettext_lazy("document", ", "),
    "max_day": pgettext_lazy("document", "highest day {value}"),
    "kth_max_day": pgettext_lazy("document", "highest day no. {k}: {value}"),
    "mean_day": pgettext_lazy("document", "mean of the days {value}"),
    "sum_days": pgettext_lazy("document", "sum of the days {value}"),
    "p95_day": pgettext_lazy("document", "95th percentile of the days {value}"),
    "sum": pgettext_lazy("document", "sum {value}"),
    "max": pgettext_lazy("document", "maximum {value}"),
    "latest": pgettext_lazy("document", "latest value {value}"),
    "distinct": pgettext_lazy("document", "different users {value}"),
    "time_weighted_mean": pgettext_lazy("document", "mean over time {value}"),
}
_OUR_REASONS: Final = ("late_usage_reason", "paused_reason", "resumed_reason", "cancelled_reason")
"""What credit notes that nobody asked for keep as their reason, in English."""


def words_of(language: str) -> Mapping[str, str]:
    """The words in the language; English for one that documents are not written in."""
    return _words(document_language(language))


def printed_languages() -> list[str]:
    """The languages that documents can be asked for in: those of `locale/` that have a catalogue."""
    found = {
        to_language(catalogue.parent.parent.name)
        for folder in settings.LOCALE_PATHS
        for catalogue in Path(folder).glob("*/LC_MESSAGES/django.mo")
    }
    return sorted({ENGLISH, *(each for each in found if document_language(each) == each)})


def reason_text(reason: str, *, language: str) -> str:
    """A credit note's reason in the language, where it is one of our own; a person's words as they are."""
    english = words_of(ENGLISH)
    return next(
        (words_of(language)[name] for name in _OUR_REASONS if english[name] == reason), reason
    )


def document_language(language: str) -> str:
    """The language that a document asked for in `language` is written in: the same, or what it is a
    variety of, where there is a catalogue; `zh-hans` for any simplified Chinese; else `en`."""
    lowered = language.lower().replace("_", "-")
    if lowered in _SIMPLIFIED:
        return CHINESE
    candidates = (lowered, lowered.partition("-")[0])
    return next((each for each in candidates if _has_catalogue(each)), ENGLISH)


@cache
def _words(language: str) -> Mapping[str, str]:
    with override(language):
        return {name: str(text) for name, text in WORDS.items()}


@cache
def _has_catalogue(language: str) -> bool:
    return _TAG.fullmatch(language) is not None and any(
        (Path(folder) / to_locale(language) / "LC_MESSAGES" / "django.mo").is_file()
        for folder in settings.LOCALE_PATHS
    )
