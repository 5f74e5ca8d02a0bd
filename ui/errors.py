"""Error pages, and the table from a refusal's kind and code to HTTP status and translated words."""

from collections.abc import Mapping
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable

_STATUS_OF_KIND: Final[tuple[tuple[type[DomainError], int], ...]] = (
    (NotFound, 404),
    (Forbidden, 403),
    (Conflict, 409),
    (Invalid, 422),
    (Unavailable, 503),
)

_TITLES: Final[Mapping[int, str | Promise]] = {
    400: _("The request could not be read"),
    403: _("You may not do this"),
    404: _("There is nothing here"),
    409: _("This does not fit the present state"),
    422: _("Something in the form needs another look"),
    500: _("Something went wrong on our side"),
    503: _("A service that we need does not answer"),
}

_TEXTS: Final[Mapping[int, str | Promise]] = {
    400: _("The address or the form was damaged on the way. Go back and try again."),
    403: _("Your role does not include this action. Ask an owner or an administrator."),
    404: _("The page does not exist, or it belongs to somebody else."),
    409: _("Somebody or something was faster. Reload the page to see the present state."),
    422: _("Go back, correct the input and send it again."),
    500: _("The fault has been recorded. Nothing was changed by this request."),
    503: _("Nothing was changed. Try again in a minute."),
}

_MESSAGES: Final[dict[str, str | Promise]] = {
    "csrf_failed": _("The form had expired. Go back, reload the page and send it again."),
    "already_subscribed": _("The tenant holds this plan already; change that one."),
    "meter_priced_twice": _(
        "What %(meter)s counts is priced by the plan %(plan)s already, which the tenant holds "
        "(%(subscription)s)."
    ),
    "several_subscriptions": _("Several plans are held: %(plans)s. Choose one of them."),
    "amount_not_positive": _("Give an amount above zero."),
    "bank_reference_taken": _(
        "The bank's reference %(reference)s is booked already; each is booked once."
    ),
    "card_payments_off": _("Cards are not taken here yet. Please pay by bank transfer."),
    "invalid_mail_address": _("%(address)s is no e-mail address."),
    "mail_off": _("Documents are not mailed here: EMAIL_URL is not set."),
    "mail_under_way": _("This mail is being sent already."),
    "no_mail_recipients": _(
        "There is nobody who hasn't it yet: the tenant has no further billing address."
    ),
    "too_many_mail_addresses": _("Name %(most)s addresses at most, or that of a list."),
    "gateway_busy": _("The card service is busy. Nothing was charged; try again in a minute."),
    "gateway_refused": _("The card service refused the payment. Nothing was charged."),
    "amount_not_chargeable": _("This amount cannot be charged to a card."),
    "run_state_conflict": _("The run is in no state for that any more. Reload the page."),
    "nothing_parked": _("The run left no tenant aside."),
    "above_line": _("Line %(line)s has only %(left)s left to credit."),
    "above_invoice": _("The invoice has less of this tax rate left to credit."),
    "above_invoice_tax": _("The invoice has less tax of this rate left to give back."),
    "nothing_to_credit": _("Give an amount for at least one line."),
    "write_off_waits": _("Somebody asked for the write-off already; it waits for approval."),
    "not_own_request": _("Only who asked can take it back; refuse it instead."),
    "already_decided": _("Somebody has decided this already. Reload the page."),
    "day_not_closed": _(
        "The day is not closed yet: what arrives is still counted in. Correct a closed day."
    ),
    "counted_by_another": _(
        "%(meter)s counts those who are counted as %(counted_as)s; correct %(counted_as)s, and both change."
    ),
    "nothing_to_correct": _("The day's usage is that already; give another value."),
    "request_expired": _("The request is older than 72 hours; ask for it anew."),
    "same_person": _("Who asked for it can't approve it; ask somebody else."),
    "period_waits": _("Something was asked of this month already and waits for a second person."),
    "period_closed": _("The month is closed already."),
    "period_open": _("The month is open."),
    "later_period_closed": _(
        "%(month)s is closed too; months are opened in the reverse order, so open that one first."
    ),
    "charge_concluded": _("It was issued, or came to nothing: it is a draft no more."),
    "top_up_paid": _(
        "Of a top-up only what is not paid can be credited; what was paid is on the tenant's balance."
    ),
    "nothing_to_tell": _("Nothing would be billed there, so there is nothing to tell of."),
    "valid_until": _("Choose a day from today to a year ahead."),
    "reference_used": _(
        "Something else was asked for under this reference. Use another one, or change that draft."
    ),
    "not_a_reference": _("Write 1 to 100 characters without blanks around them."),
    "no_description": _("Say in one of the languages what it is for."),
    "no_service_days": _("Give the first and the last day, or neither."),
    "service_ends_before": _("The last day is before the first."),
    "service_too_long": _("At most ten years; draft several charges."),
    "no_tax_rate": _("No rate of tax is in force for these days; add one under Taxes."),
    "period_hindered": _("The month can't be closed yet; what hinders it stands below."),
    "usage_changed": _(
        "The day's usage was %(before)s when this was asked for and is %(now)s now; refuse it and ask for it anew."
    ),
    "day_open": _("The day is not closed yet, so who is counted may still change."),
    "proof_does_not_hold": _(
        "Who is stored as counted on this day is not who was signed for. Tell the operator."
    ),
    "cohort_changed": _(
        "It would move %(subscriptions)s subscriptions and not %(seen)s; look at it again."
    ),
    "coupon_not_found": _("There is no such coupon."),
    "coupon_retired": _("This coupon is not given any more."),
    "coupon_not_valid_yet": _("This coupon may be redeemed from %(day)s on."),
    "coupon_expired": _("This coupon could be redeemed before %(day)s."),
    "coupon_used_up": _("This coupon was redeemed as often as it may be."),
    "currency_mismatch": _(
        "The other version is in another currency; a subscription keeps its own."
    ),
    "evidence_missing": _("Say what shows it: without evidence tax must be charged."),
    "expires_in_past": _("The day is not ahead; give a later one."),
    "unknown_scope": _("These keys are not known: %(keys)s."),
    "currency_not_chargeable": _("This currency cannot be charged to a card."),
    "invalid_bank_reference": _("Give the reference of the bank statement, up to 140 characters."),
    "einvoice_breaks_rules": _(
        "This document can't be written in the form of EN 16931: it would break %(rules)s."
    ),
    "invoice_fields_missing": _("The document would lack what the law wants on it: %(fields)s."),
    "invoice_not_issued": _("This invoice is a draft; it can be printed when it is issued."),
    "invoice_not_open": _("Nothing of this invoice is left to pay."),
    "not_a_decimal": _("Write a number such as 1234.50, without thousands separators."),
    "not_allowed": _("Your role does not include this action. Ask an owner or an administrator."),
    "not_finite": _("Write a number such as 1234.50, without thousands separators."),
    "out_of_range": _("The number is too large."),
    "payment_in_progress": _("A payment of this invoice is being set up; look again in a minute."),
    "payment_not_waiting": _("This payment no longer waits for a card."),
    "payment_outcome_unknown": _(
        "The card service did not answer in time. Look again in a minute before you pay once more."
    ),
    "plan_changed": _(
        "Version %(version)s of %(key)s was stored meanwhile; compare with it before you store another."
    ),
    "plan_exists": _(
        "There is a plan %(key)s already; open it to make a new version, or take another key."
    ),
    "received_in_future": _("The day is after today; give the day of the statement."),
    "received_too_long_ago": _("The day is over three years back; check the year."),
    "tenant_not_found": _("There is no such tenant."),
    "too_many_decimals": _("Write the amount with at most %(places)s decimals."),
}
"""Translated words for codes; a code that isn't here shows the domain's own English message."""


def status_of(error: DomainError) -> int:
    """The HTTP status of a refusal's kind."""
    for kind, status in _STATUS_OF_KIND:
        if isinstance(error, kind):
            return status
    return 400


def message_of(error: DomainError) -> str:
    """The refusal in the reader's language."""
    text = _MESSAGES.get(error.code)
    if text is None:
        return error.message
    return str(text) % error.params if error.params else str(text)


def error_page(
    request: HttpRequest, *, status: int, code: str, text: str | Promise = ""
) -> HttpResponse:
    """The page of an error: what happened, what to do, and the code to quote."""
    context = {
        "status": status,
        "code": code,
        "heading": _TITLES.get(status, _TITLES[400]),
        "text": text or _TEXTS.get(status, _TEXTS[400]),
    }
    return render(request, "ui/error.html", context, status=status)


def refusal_page(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The page of a refusal. What is missing and what is foreign look the same."""
    status = status_of(error)
    if status == 404:
        return error_page(request, status=404, code="not_found")
    return error_page(request, status=status, code=error.code, text=message_of(error))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, status=400, code="bad_request")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, status=403, code="forbidden")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, status=404, code="not_found")


def server_error(request: HttpRequest) -> HttpResponse:
    return error_page(request, status=500, code="internal_error")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_page(request, status=403, code="csrf_failed", text=_MESSAGES["csrf_failed"])
