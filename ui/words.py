"""Codes as people read them: statuses, roles, scopes, meters. One table for both fronts and both tongues."""

from collections.abc import Mapping
from typing import Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ui.cells import Status, Text, Tone

_STATUSES: Final[Mapping[str, Mapping[str, tuple[Text, Tone]]]] = {
    "certificate": {
        "agreed": (_("Agrees"), Tone.GOOD),
        "drifted": (_("Differs"), Tone.BAD),
    },
    "tenant": {
        "trial": (_("Trial"), Tone.ACTIVE),
        "active": (pgettext_lazy("tenant", "Active"), Tone.GOOD),
        "past_due": (_("Past due"), Tone.WARNING),
        "suspended": (_("Suspended"), Tone.BAD),
        "closed": (pgettext_lazy("tenant", "Closed"), Tone.NEUTRAL),
    },
    "invoice": {
        "draft": (_("Draft"), Tone.NEUTRAL),
        "open": (pgettext_lazy("invoice", "Open"), Tone.ACTIVE),
        "overdue": (_("Overdue"), Tone.BAD),
        "paid": (_("Paid"), Tone.GOOD),
        "void": (_("Void"), Tone.NEUTRAL),
        "uncollectible": (_("Uncollectible"), Tone.BAD),
    },
    "subscription": {
        "active": (pgettext_lazy("subscription", "Active"), Tone.GOOD),
        "ended": (pgettext_lazy("subscription", "Ended"), Tone.NEUTRAL),
    },
    "change": {
        "pending": (_("In progress"), Tone.ACTIVE),
        "done": (_("Done"), Tone.GOOD),
        "refused": (_("Refused"), Tone.BAD),
    },
    "payment": {
        "requested": (_("Begun"), Tone.ACTIVE),
        "waiting": (_("Waits for the payer"), Tone.WARNING),
        "processing": (_("Processing"), Tone.ACTIVE),
        "succeeded": (_("Received"), Tone.GOOD),
        "failed": (_("Failed"), Tone.BAD),
        "canceled": (pgettext_lazy("payment", "Cancelled"), Tone.NEUTRAL),
    },
    "run": {
        "queued": (_("Waiting"), Tone.NEUTRAL),
        "running": (_("Running"), Tone.ACTIVE),
        "done": (_("Finished"), Tone.GOOD),
        "failed": (_("Failed"), Tone.BAD),
    },
    "correction": {
        "waiting": (_("Waits for a second person"), Tone.ACTIVE),
        "applied": (_("Applied"), Tone.GOOD),
        "refused": (_("Refused"), Tone.NEUTRAL),
    },
    "charge": {
        "draft": (_("Draft"), Tone.ACTIVE),
        "issued": (_("Issued"), Tone.GOOD),
        "nothing_due": (_("Nothing due"), Tone.NEUTRAL),
    },
    "fapiao": {
        "requested": (_("Asked for"), Tone.ACTIVE),
        "submitted": (_("At the tax platform"), Tone.ACTIVE),
        "confirmed": (_("Confirmed"), Tone.ACTIVE),
        "issued": (pgettext_lazy("fapiao", "Issued"), Tone.GOOD),
        "failed": (_("Failed"), Tone.BAD),
    },
    "mail": {
        "waiting": (pgettext_lazy("mail", "To be sent"), Tone.ACTIVE),
        "sending": (pgettext_lazy("mail", "Being sent"), Tone.ACTIVE),
        "sent": (pgettext_lazy("mail", "Sent"), Tone.GOOD),
        "delivered": (pgettext_lazy("mail", "Delivered"), Tone.GOOD),
        "bounced": (pgettext_lazy("mail", "Came back"), Tone.BAD),
        "uncertain": (pgettext_lazy("mail", "Uncertain"), Tone.WARNING),
        "failed": (_("Failed"), Tone.BAD),
    },
    "period": {
        "open": (pgettext_lazy("accounting month", "Open"), Tone.ACTIVE),
        "closing": (_("Close waits for a second person"), Tone.WARNING),
        "closed": (pgettext_lazy("accounting month", "Closed"), Tone.GOOD),
        "reopening": (_("Reopening waits for a second person"), Tone.WARNING),
    },
    "period_request": {
        "waiting": (_("Waits for a second person"), Tone.ACTIVE),
        "done": (_("Done"), Tone.GOOD),
        "refused": (_("Refused"), Tone.NEUTRAL),
    },
    "day": {
        "open": (pgettext_lazy("day", "Open"), Tone.ACTIVE),
        "closed": (pgettext_lazy("day", "Closed"), Tone.NEUTRAL),
        "held": (_("Waits for reports"), Tone.WARNING),
        "corrected": (_("Corrected"), Tone.WARNING),
    },
    "coupon": {
        "open": (pgettext_lazy("coupon", "Redeemable"), Tone.GOOD),
        "planned": (_("Not yet"), Tone.ACTIVE),
        "expired": (_("Expired"), Tone.WARNING),
        "used_up": (_("Used up"), Tone.NEUTRAL),
        "retired": (_("Retired"), Tone.NEUTRAL),
    },
    "key": {
        "active": (pgettext_lazy("key", "Active"), Tone.GOOD),
        "expired": (_("Expired"), Tone.WARNING),
        "revoked": (_("Revoked"), Tone.NEUTRAL),
    },
}

_WORDS: Final[Mapping[str, Mapping[str, Text]]] = {
    "role": {
        "owner": _("Owner"),
        "billing": _("Billing"),
        "developer": _("Developer"),
        "viewer": _("Viewer"),
    },
    "staff_role": {
        "finance": _("Finance"),
        "sales": _("Sales"),
        "operations": _("Operations"),
        "admin": _("Administrator"),
        "auditor": _("Auditor"),
    },
    "period_action": {
        "close": _("Close"),
        "reopen": _("Open again"),
    },
    "late_usage": {
        "next_invoice": _("On the next invoice"),
        "note": _("On a document of its own"),
        "waive": _("Not billed"),
    },
    "late_outcome": {
        "adjusted": _("Credit note"),
        "waived": _("Not billed"),
    },
    "scope": {
        "ingest": _("Send usage"),
        "read": _("Read"),
        "full": _("Read and write"),
    },
    "meter": {
        "dau": _("Daily active users"),
        "mau": _("Monthly active users"),
        "messages": _("Messages"),
        "logins": _("Logins"),
        "peak_connections": _("Peak connections"),
        "groups": _("Groups"),
        "registered_users": _("Registered users"),
        "storage": _("Storage"),
        "api_calls": _("API calls"),
    },
    "fapiao": {
        "special": _("Special (tax can be deducted)"),
        "ordinary": _("Ordinary"),
        "organisation": _("An organisation"),
        "person": _("A person"),
        "blue_special": _("Special"),
        "blue_ordinary": _("Ordinary"),
        "red_special": _("Red, special"),
        "red_ordinary": _("Red, ordinary"),
    },
    "rate_fault": {
        "unknown_currency": _("Write three letters, such as EUR."),
        "same_currency": _("This is the same currency; name the other one."),
        "not_positive": _("Write a number above zero."),
        "not_a_decimal": _("Write a number, such as 7.8051."),
        "too_many_decimals": _("It has more than 12 decimals."),
        "missing": _("This is needed."),
    },
    "party_fault": {
        "missing": _("This is needed."),
        "too_long": _("This is too long."),
        "forbidden_character": _("It has a line break or a character that no document can hold."),
        "half_an_address": _("An electronic address and its kind belong together."),
        "unknown_code": _("The list has no such code."),
        "bad_email": _("This is not an e-mail address."),
        "bad_iban": _("The check digits or the length of the IBAN are wrong."),
        "bad_bic": _("A BIC has 8 or 11 characters."),
        "not_a_country": _("Write two letters, such as CN."),
        "bad_vat_number": _(
            "This is no VAT number of the country: the prefix is missing or a digit is wrong."
        ),
        "bad_prefix": _("Write 1 to 9 capital letters, digits or dashes, such as INV."),
        "unknown_rounding": _("Choose one of the list."),
    },
    "fapiao_fault": {
        "missing": _("This is needed."),
        "blank": _("It holds spaces only; leave it empty."),
        "spaces_around": _("It begins or ends with a space; remove it."),
        "forbidden_character": _("It has one of < and >, or a control character."),
        "not_in_gbk": _("It has a character that the tax platform can't write, such as an emoji."),
        "too_long": _("It is too long for the tax platform; a Chinese character counts twice."),
        "bad_tax_id": _("It is not a tax number: compare it with the business licence."),
        "special_for_person": _("A person can't deduct tax; ask for an ordinary fapiao."),
        "half_a_bank": _("Bank and account belong together; give both or neither."),
        "bad_email": _("It is not an e-mail address."),
        "bad_product_code": _("It is not a code of 19 digits."),
    },
    "red_reason": {
        "issued_in_error": _("Issued in error"),
        "goods_returned": _("Goods returned"),
        "service_ended": _("Service ended"),
        "discount": _("Discount"),
    },
    "dimension": {
        "kind": _("By kind"),
        "direction": _("By direction"),
        "region": _("By region"),
        "deployment": _("By deployment"),
    },
    "model": {
        "flat": _("Flat fee"),
        "per_unit": _("Per unit"),
        "graduated": _("Graduated tiers"),
        "volume": _("Volume tiers"),
        "stairstep": _("Stair steps"),
        "package": _("Packages"),
        "percentage": _("Percentage"),
        "graduated_percentage": _("Graduated percentage"),
    },
    "aggregation": {
        "max_day": _("peak day"),
        "kth_max_day": _("k-th highest day"),
        "mean_day": _("mean of the days"),
        "sum_days": _("sum of the days"),
        "p95_day": _("95th percentile day"),
        "distinct": _("distinct in the period"),
        "sum": _("sum"),
        "max": _("maximum"),
        "latest": _("latest value"),
        "time_weighted_mean": _("time-weighted mean"),
    },
    "account": {
        "receivable": _("Receivables"),
        "bank": _("Bank"),
        "stripe_clearing": _("Stripe clearing"),
        "customer_credit": _("Tenants' credit"),
        "deferred_revenue": _("Deferred revenue"),
        "gift_credit": _("Gifts to tenants"),
        "voucher_credit": _("Vouchers of tenants"),
        "promotion": _("Promotion"),
        "revenue": _("Revenue"),
        "tax_payable": _("Tax payable"),
    },
    "check": {
        "reports": _("Gateways' reports: none is missing"),
        "events": _("Events = daily usage"),
        "closed_days": _("Closed days are as they were closed"),
        "invoice_quantities": _("Daily usage = quantities of the invoices issued"),
        "invoice_lines": _("Lines = totals of the documents issued"),
        "ledger": _("Totals of the documents = ledger"),
    },
    "finding": {
        "reports_missing": _("Reports are missing"),
        "usage_differs": _("Usage is not what the events say"),
        "too_many_differences": _("More differences than can be named"),
        "closed_day_changed": _("A closed day was changed"),
        "quantity_differs": _("The invoice bills another value than is stored"),
        "lines_differ": _("The lines don't sum to the document"),
        "posting_differs": _("The ledger says another amount"),
        "unbalanced_transaction": _("A transaction doesn't balance"),
    },
    "tax_code": {
        "standard": _("Taxed"),
        "zero": _("Taxed at zero"),
        "exempt": _("Exempt"),
        "reverse_charge": _("Reverse charge"),
        "none": _("No tax"),
    },
    "mail_failure": {
        "bounced": _("It came back"),
        "ended_unexpectedly": _("Sending ended before its outcome was written down"),
        "mail_server_unavailable": _("The mail server could not be reached"),
        "no_answer": _("The mail server did not answer; it may have gone out"),
        "no_connection": _("The provider of mail could not be reached"),
        "not_supported": _("The mail server can't reach such an address"),
        "recipient_refused": _("The provider of mail refused the address"),
        "sender_refused": _("The mail server refused the sender"),
        "unusable": _("The address or the message can't be used"),
    },
    "price": {"base": _("Base fee")},
    "feature": {
        "dau": _("Daily active users"),
        "messages": _("Messages"),
        "max_group_size": _("Members of a group"),
        "message_history_days": _("Days of message history"),
    },
    "counts_by": {
        "count": _("Number of events"),
        "sum": _("Sum"),
        "distinct": _("Different ones"),
        "max": _("Highest reading"),
        "latest": _("Latest reading"),
    },
    "rejection": {
        "bad_event": _("The event is not an object of the right form."),
        "bad_json": _("The event is not valid JSON."),
        "bad_number": _("The event holds a number that can't be read."),
        "bad_row": _("The row doesn't have the named columns."),
        "conflicting_duplicate": _(
            "An event of this source and id was accepted with other content."
        ),
        "duplicate_key": _("The event names a key twice."),
        "event_in_future": _("The time lies ahead: set the sender's clock."),
        "event_too_large": _("The event is too large."),
        "event_too_old": _("The event is too old: older usage comes in by an import."),
        "json_too_deep": _("The event is nested too deeply."),
        "unknown_app": _("There is no such app."),
        "unknown_type": _("No meter counts events of this type."),
    },
    "event": {
        "api_key.created": _("API key made"),
        "api_key.revoked": _("API key revoked"),
        "app.created": _("App added"),
        "balance.granted": _("Balance granted"),
        "billing_run.started": _("Billing run started"),
        "charge.drafted": _("Charge drafted"),
        "charge.changed": _("Charge changed"),
        "charge.withdrawn": _("Draft of a charge deleted"),
        "charge.issued": _("Charge issued"),
        "charge.came_to_nothing": _("Charge concluded: nothing due"),
        "coupon.created": _("Coupon made"),
        "coupon.retired": _("Coupon ended"),
        "credit_note.issued": _("Credit note issued"),
        "events.replayed": _("Rejected events taken in"),
        "fapiao.buyer_set": _("Buyer's details for fapiao set"),
        "fapiao.product_set": _("Product for fapiao set"),
        "gateway.created": _("Gateway made"),
        "gateway.gap_released": _("Missing reports released"),
        "gateway.revoked": _("Gateway revoked"),
        "invoice.finalized": _("Invoice finalised"),
        "mail.asked_for": _("Mail with an invoice asked for"),
        "mail.recipients_set": _("Recipients of invoice mail set"),
        "mail.sent_again": _("Mail with an invoice sent again"),
        "late_usage.waived": _("Late usage waived"),
        "member.added": _("Member added"),
        "meter_version.created": _("Meter version stored"),
        "payment.booked": _("Payment booked"),
        "period.close": _("Month of the books closed"),
        "period.close_refused": _("Close of a month refused"),
        "period.close_requested": _("Close of a month asked for"),
        "period.reopen": _("Month of the books opened again"),
        "period.reopen_refused": _("Reopening of a month refused"),
        "period.reopen_requested": _("Reopening of a month asked for"),
        "plan.offered": _("Private plan offered"),
        "plan_migration.started": _("Move to a plan version started"),
        "plan_version.created": _("Plan version stored"),
        "seller.described": _("Seller described"),
        "billing_profile.set": _("Billing details changed"),
        "exchange_rates.stored": _("Exchange rates stored"),
        "staff.role_given": _("Staff role given"),
        "subscription.addon_added": _("Add-on added"),
        "subscription.addon_removed": _("Add-on taken away"),
        "subscription.cancellation_undone": _("Cancellation taken back"),
        "subscription.cancelled": _("Plan cancelled"),
        "subscription.change_requested": _("Change of the subscription asked for"),
        "subscription.change_undone": _("Planned change taken back"),
        "subscription.coupon_redeemed": _("Coupon redeemed"),
        "subscription.discount_agreed": _("Discount agreed"),
        "subscription.discount_ended": _("Discount ended"),
        "subscription.late_usage_policy_set": _("Policy for late usage set"),
        "subscription.paused": _("Subscription paused"),
        "subscription.plan_changed": _("Plan changed"),
        "subscription.price_agreed": _("Own price agreed"),
        "subscription.quantity_changed": _("Quantity changed"),
        "subscription.resumed": _("Subscription resumed"),
        "subscription.started": _("Subscription started"),
        "subscription.trial_ended": _("Trial ended"),
        "subscription.unparked": _("Billing of the subscription tried again"),
        "tax_rates.loaded": _("Tax rates loaded"),
        "tenant.created": _("Tenant created"),
        "tenant.tax_set": _("Tenant's tax changed"),
        "usage.corrected": _("Usage corrected"),
        "usage.correction_refused": _("Correction of usage refused"),
        "usage.correction_requested": _("Correction of usage asked for"),
    },
    "action": {
        "usage.view": _("See usage"),
        "plan.view": _("See the plan"),
        "plan.change": _("Change the plan"),
        "invoices.view": _("See invoices"),
        "invoices.pay": _("Pay invoices"),
        "keys.view": _("See API keys"),
        "keys.change": _("Make and revoke API keys"),
        "members.view": _("See members"),
    },
    "rounding": {"up": _("is billed whole"), "down": _("is not billed until it is full")},
    "stacking": {"add": _("is one more"), "replace": _("takes the place of what was held")},
    "change_kind": {
        "change_plan": _("Change the plan"),
        "change_quantity": _("Change a quantity"),
        "add_addon": _("Add an add-on"),
        "remove_addon": _("Take an add-on away"),
        "cancel": _("Cancel the plan"),
        "undo_cancel": _("Take the cancellation back"),
        "undo_change": _("Take the planned change back"),
        "pause": _("Pause"),
        "resume": _("Resume"),
        "end_trial": _("End the trial"),
        "apply_coupon": _("Redeem a coupon"),
    },
    "change_when": {"now": _("now"), "period_end": _("when the period ends")},
    "conversion": {
        "none": _("not rounded"),
        "up": _("rounded up"),
        "down": _("rounded down"),
        "nearest": _("rounded to the nearest"),
    },
    "counting": {
        "app": _("Each app by itself"),
        "tenant": _("All apps together"),
        "tenant_sum_of_peaks": _("Each app's figure, then their sum"),
    },
    "day_count": {
        "actual": _("by actual days"),
        "30/360": _("by months of 30 days"),
        "second": _("by the second"),
    },
    "interval": {
        "day": _("Day"),
        "week": _("Week"),
        "month": _("Month"),
        "quarter": _("Quarter"),
        "year": _("Year"),
    },
    "discount_type": {
        "percentage": _("Percentage"),
        "fixed": _("Fixed amount"),
        "usage": _("Free usage"),
    },
    "supply": {
        "domestic": _("Seller and tenant in the country"),
        "inbound_business": _("From abroad to a tenant with a tax number"),
        "inbound_consumer": _("From abroad to a tenant without one"),
        "outbound": _("To a tenant abroad"),
    },
    "tax_treatment": {
        "unsaid": _("Says nothing: plan and price decide"),
        "taxable": _("Taxable by the dated rates"),
        "exempt": _("Exempt"),
        "reverse_charge": _("Owes the tax itself (reverse charge)"),
    },
    "invoice_kind": {
        "subscription": _("Subscription"),
        "change": _("Change of plan"),
        "final": _("Final usage"),
        "late": _("Late usage"),
        "one_off": pgettext_lazy("kind of invoice", "One-off"),
        "milestone": _("Milestone"),
        "licence": _("Licence"),
        "true_up": _("True-up"),
        "top_up": _("Top-up"),
    },
    "balance": {
        "cash": _("Cash"),
        "gift": _("Gift"),
        "voucher": _("Voucher"),
    },
    "recognised": {
        "at_once": _("At once"),
        "over_period": _("Over the days of service"),
    },
    "balance_origin": {
        "grant": _("Granted by staff"),
        "payment": _("Payment above what was owed"),
        "credit_note": _("Credit note"),
    },
    "quota": {
        "hard": _("hard limit"),
        "soft": _("soft limit"),
        "grace": _("limit with grace"),
    },
    "change": {
        "added": _("new"),
        "removed": _("taken out"),
        "changed": _("changed"),
    },
    "timing": {"in_advance": _("in advance"), "in_arrears": _("in arrears")},
    "method": {
        "card": _("Card"),
        "bank_transfer": _("Bank transfer"),
        "balance": _("Prepaid balance"),
    },
}


def status(kind: str, code: str) -> Status:
    """The coloured label of a status; an unknown code shows itself."""
    label, tone = _STATUSES.get(kind, {}).get(str(code), (str(code), Tone.NEUTRAL))
    return Status(label=label, tone=tone)


def word(kind: str, code: str) -> Text:
    """The word for a code; an unknown code shows itself."""
    return _WORDS.get(kind, {}).get(str(code), str(code))


def name_of(kind: str, key: str) -> Text:
    """The word for the key of a price or feature; one without a word is spelled out: "history-180"
    reads "History 180"."""
    known = _WORDS[kind].get(key)
    return key.replace("-", " ").replace("_", " ").capitalize() if known is None else known


def codes(kind: str) -> tuple[str, ...]:
    """The statuses of a kind, in the order of their life."""
    return tuple(_STATUSES[kind])


def billed_for(*, is_opening: bool) -> Text:
    """What an invoice bills of the period beside which it stands: two may name the same one."""
    return _("billed in advance") if is_opening else _("billed at its end")
