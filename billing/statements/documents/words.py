"""The words of a printed statement, beside those that it shares with invoices."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import override, pgettext_lazy

from billing.invoicing.documents.words import document_language
from billing.invoicing.documents.words import words_of as words_of_invoices

WORDS: Final[Mapping[str, Promise]] = {
    "title": pgettext_lazy("document", "Statement of account"),
    "statement": pgettext_lazy("document", "Statement"),
    "made_on": pgettext_lazy("document", "Made on"),
    "period": pgettext_lazy("document", "Period"),
    "currency": pgettext_lazy("document", "Currency"),
    "account": pgettext_lazy("document", "Account"),
    "opening": pgettext_lazy("document", "Opening balance"),
    "closing": pgettext_lazy("document", "Closing balance"),
    "movement": pgettext_lazy("document", "Movement"),
    "count": pgettext_lazy("document", "Number"),
    "date": pgettext_lazy("document", "Date"),
    "document": pgettext_lazy("document", "Document"),
    "balance": pgettext_lazy("document", "Balance"),
    "movements": pgettext_lazy("document", "Movements"),
    "no_movements": pgettext_lazy("document", "Nothing moved in this period."),
    "owed": pgettext_lazy(
        "document", "Amounts are what you owe: charges add to them, payments and credits take away."
    ),
    "more_movements": pgettext_lazy("document", "{count} more movements are in the detail files."),
    "kind_invoice": pgettext_lazy("document", "Invoices"),
    "kind_credit_note": pgettext_lazy("document", "Credit notes"),
    "kind_payment": pgettext_lazy("document", "Payments"),
    "kind_balance_draw": pgettext_lazy("document", "Paid from the balance"),
    "kind_write_off": pgettext_lazy("document", "Written off"),
    "kind_recovery": pgettext_lazy("document", "Owed again after a write-off"),
    "one_invoice": pgettext_lazy("document", "Invoice"),
    "one_credit_note": pgettext_lazy("document", "Credit note"),
    "one_payment": pgettext_lazy("document", "Payment"),
    "one_balance_draw": pgettext_lazy("document", "Paid from the balance"),
    "one_write_off": pgettext_lazy("document", "Written off"),
    "one_recovery": pgettext_lazy("document", "Owed again after a write-off"),
    "due_on": pgettext_lazy("document", "due {day}"),
    "ageing": pgettext_lazy("document", "What is open, by age"),
    "age_not_due": pgettext_lazy("document", "Not due"),
    "age_1_30": pgettext_lazy("document", "1–30 days"),
    "age_31_60": pgettext_lazy("document", "31–60 days"),
    "age_61_90": pgettext_lazy("document", "61–90 days"),
    "age_over_90": pgettext_lazy("document", "Over 90 days"),
    "open_total": pgettext_lazy("document", "Open in all"),
    "prepaid": pgettext_lazy("document", "Prepaid balance"),
    "prepaid_kind": pgettext_lazy("document", "Kind"),
    "moved": pgettext_lazy("document", "Movements"),
    "balance_cash": pgettext_lazy("document", "Cash"),
    "balance_gift": pgettext_lazy("document", "Gift"),
    "balance_voucher": pgettext_lazy("document", "Voucher"),
    "details": pgettext_lazy("document", "Detail files"),
    "checked": pgettext_lazy("document", "Summary = detail: {rows} lines, {amount}, checked"),
    "checked_of": pgettext_lazy("document", "{table}: {rows} rows, {sum}"),
    "table_movements": pgettext_lazy("document", "Movements of the account"),
    "table_balance": pgettext_lazy("document", "Movements of the prepaid balance"),
    "table_lines": pgettext_lazy("document", "Lines of invoices and credit notes"),
    "table_days": pgettext_lazy("document", "Daily quantities"),
    "sum_of_quantities": pgettext_lazy("document", "sum of quantities {sum}"),
    "read_back": pgettext_lazy(
        "document", "Each file was read back after it was written and compared with this page."
    ),
    "file": pgettext_lazy("document", "File"),
    "rows": pgettext_lazy("document", "Rows"),
    "size": pgettext_lazy("document", "Bytes"),
}


def words_of(language: str) -> Mapping[str, str]:
    """The words in the language, those of invoices included; English where there are none in it."""
    return _words(document_language(language))


@cache
def _words(language: str) -> Mapping[str, str]:
    with override(language):
        own = {name: str(text) for name, text in WORDS.items()}
    return {**words_of_invoices(language), **own}
