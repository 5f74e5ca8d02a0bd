"""Invoices, their lines and files, the numbers they get, and the runs that make them.

A finalised invoice is frozen: the triggers of ``0002_guards`` refuse every change but a status that
the transition table allows and what has been paid.
"""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q

from billing.catalog.models import PlanVersion
from billing.invoicing.charges.domain import BY_HAND, ChargeState
from billing.invoicing.domain import (
    DAYS_TO_PAY,
    InvoiceKind,
    InvoiceStatus,
    LateUsageOutcome,
    RunState,
)
from billing.rating.adjustments.tax import TaxRounding
from billing.subscriptions.models import Subscription
from billing.taxes.domain.rules import TaxCode
from kernel import clock, ids
from kernel.zones import zone_data_version
from tenants.models import Tenant

CHARGE_KINDS = (*BY_HAND, InvoiceKind.TOP_UP)


class Seller(models.Model):
    """The legal entity that issues invoices; each has its own number series.

    `tax_rounding` tells how its documents round tax; `tax_category` is the category of products whose
    rate a taxable tenant bears where neither price nor plan names one. `address` is its whole address
    where the parts of it (`street` …) are not given. The representative owes the tax in its place.
    """

    code = models.CharField(primary_key=True, max_length=32)
    name = models.CharField(max_length=200)
    address = models.TextField(blank=True)
    tax_id = models.CharField(max_length=64, blank=True)
    country = models.CharField(max_length=2, blank=True)
    bank_details = models.TextField(blank=True)
    street = models.CharField(max_length=200, blank=True, default="", db_default="")
    city = models.CharField(max_length=100, blank=True, default="", db_default="")
    postal_code = models.CharField(max_length=20, blank=True, default="", db_default="")
    subdivision = models.CharField(max_length=100, blank=True, default="", db_default="")
    registration_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    endpoint_scheme = models.CharField(max_length=4, blank=True, default="", db_default="")
    endpoint_id = models.CharField(max_length=100, blank=True, default="", db_default="")
    email = models.CharField(max_length=254, blank=True, default="", db_default="")
    iban = models.CharField(max_length=64, blank=True, default="", db_default="")
    bic = models.CharField(max_length=11, blank=True, default="", db_default="")
    representative_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    representative_street = models.CharField(max_length=200, blank=True, default="", db_default="")
    representative_city = models.CharField(max_length=100, blank=True, default="", db_default="")
    representative_postal_code = models.CharField(
        max_length=20, blank=True, default="", db_default=""
    )
    representative_country = models.CharField(max_length=2, blank=True, default="", db_default="")
    representative_tax_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    number_prefix = models.CharField(max_length=12, default="INV")
    tax_rounding = models.CharField(
        max_length=16,
        choices=[(r.value, r.value) for r in TaxRounding],
        default=TaxRounding.PER_RATE,
        db_default=TaxRounding.PER_RATE.value,
    )
    tax_category = models.CharField(max_length=100, blank=True, default="", db_default="")

    web_access = "read"

    def __str__(self) -> str:
        return self.code


class NumberSeries(models.Model):
    """The last number given in one series: a row and not a sequence, since sequences leave gaps."""

    id = models.BigAutoField(primary_key=True)
    seller = models.ForeignKey(Seller, models.PROTECT, related_name="+")
    prefix = models.CharField(max_length=12)
    year = models.PositiveSmallIntegerField()
    last = models.BigIntegerField(default=0)

    web_access = "none"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["seller", "prefix", "year"], name="billing_number_series_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}-{self.year}"


class BillingRun(models.Model):
    """One run over what is due at an instant: its progress and what came of it.

    It is cut into `ranges` of tenants (null before that), each billed by itself, in any order. `due`,
    `drafted`, `finalized` and `totals` are counted in the transactions that do the work, so that they hold
    whatever is killed. `retry_of` is the run whose parked tenants this one tries again, and no other.

    A `dry` run rates and compares, and bills nothing (`dry_runs`).

    Its speed is measured since `measured_from`, when `measured_ranges` were done: since it was cut, or
    resumed.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    at = models.DateTimeField()
    finalize = models.BooleanField()
    tenant_key = models.CharField(max_length=100, blank=True)
    state = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in RunState], default=RunState.QUEUED
    )
    ranges = models.IntegerField(null=True)
    ranges_done = models.IntegerField(default=0, db_default=0)
    dry = models.BooleanField(default=False, db_default=False)
    measured_from = models.DateTimeField(null=True)
    measured_ranges = models.IntegerField(default=0, db_default=0)
    retry_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")
    due = models.BigIntegerField(default=0)
    drafted = models.BigIntegerField(default=0)
    finalized = models.BigIntegerField(default=0)
    unchanged = models.BigIntegerField(default=0)
    parked = models.JSONField(default=list)
    totals = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    requested_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    progressed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    web_access = "none"

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=list(RunState)), name="billing_run_state"),
        ]
        indexes: ClassVar = [models.Index(fields=["-created_at"])]

    def __str__(self) -> str:
        return f"run {self.pk}"


class Invoice(models.Model):
    """What a tenant owes at one boundary of its subscription.

    At a boundary one document bills the arrears of the period that ended and the advance of the one
    that begins; (subscription, kind, boundary_at) is unique, so no period is billed twice. `period_*` is
    the ended period if it bills arrears, else the one it opens, cut by the tables of `timezone` of the edition
    `zone_data` (empty: before that was kept). A draft is finalised at
    `finalize_at`: at once, or when the grace for late usage is over. `issuer` and `buyer` are the parties as
    they stood when it was issued (`issuer` None: before that was kept); `national_tax` is its tax in the
    seller's national currency, where that is another, and by which rate. The invoice that consolidates several
    has no subscription, its lines have; those whose lines it took stay, without lines and void, so that what
    is unique stays so, and name it in `consolidated_into`. `corrections_counted` is how many
    corrections of its period's days there were when it was rated last: more of them are late usage.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="invoices")
    seller = models.ForeignKey(Seller, models.PROTECT, related_name="+")
    # Its key is (tenant, subscription) (migration 0002).
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, null=True, related_name="invoices", db_constraint=False
    )
    # Its key is (tenant, invoice) (migration ``0037``).
    consolidated_into = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        related_name="consolidates",
        db_constraint=False,
        db_index=False,
    )
    kind = models.CharField(
        max_length=16,
        choices=[(k.value, k.value) for k in InvoiceKind],
        default=InvoiceKind.SUBSCRIPTION,
    )
    status = models.CharField(
        max_length=16,
        choices=[(s.value, s.value) for s in InvoiceStatus],
        default=InvoiceStatus.DRAFT,
    )
    number = models.CharField(max_length=30, null=True, unique=True)
    currency = models.CharField(max_length=3)
    timezone = models.CharField(max_length=64)
    zone_data = models.CharField(
        max_length=32, blank=True, default=zone_data_version, db_default=""
    )
    language = models.CharField(max_length=16, default="en")
    boundary_at = models.DateTimeField()
    period_starts_at = models.DateTimeField()
    period_ends_at = models.DateTimeField()
    finalize_at = models.DateTimeField()
    issued_at = models.DateTimeField(null=True)
    due_on = models.DateField(null=True)
    subtotal_minor = models.BigIntegerField(default=0)
    discount_minor = models.BigIntegerField(default=0)
    tax_minor = models.BigIntegerField(default=0)
    total_minor = models.BigIntegerField(default=0)
    paid_minor = models.BigIntegerField(default=0)
    paid_at = models.DateTimeField(null=True)
    issuer = models.JSONField(null=True)
    buyer = models.JSONField(default=dict)
    national_tax = models.JSONField(null=True)
    content_hash = models.BinaryField(max_length=32, null=True)
    corrections_counted = models.BigIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(default=clock.now)

    # Web and API take payments; documents are made and issued by jobs and commands alone.
    web_access = "read"
    web_may_update = ("status", "paid_minor", "paid_at")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="billing_invoice_tenant_id"),
            models.UniqueConstraint(
                fields=["tenant", "subscription", "kind", "boundary_at"],
                name="billing_invoice_once_a_kind",
            ),
            models.CheckConstraint(
                condition=Q(status__in=list(InvoiceStatus)), name="billing_invoice_status"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["draft", "void"])
                | Q(number__isnull=False, issued_at__isnull=False, due_on__isnull=False),
                name="billing_invoice_issued",
            ),
            models.CheckConstraint(
                condition=Q(paid_minor__gte=0) & Q(paid_minor__lte=models.F("total_minor"))
                | Q(total_minor__lt=0),
                name="billing_invoice_paid",
            ),
            models.CheckConstraint(
                condition=~Q(status="paid") | Q(paid_minor=models.F("total_minor")),
                name="billing_invoice_paid_whole",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "finalize_at", "id"],
                name="billing_invoice_draft_of",
                condition=Q(status="draft"),
            ),
            models.Index(fields=["tenant", "-issued_at"]),
            models.Index(fields=["status", "due_on"]),
        ]

    def __str__(self) -> str:
        return self.number or f"draft {self.pk}"


class InvoiceLine(models.Model):
    """One amount of an invoice; `explanation` holds its whole working.

    `amount` is before discounts; tax is worked out from `amount - discount`. `plan_version` is the text
    that priced it, None where no plan did. `subscription` is set on lines of an invoice that consolidates
    several; of any other it is the invoice's.
    An adjustment names in `adjusts` the line that first billed what it corrects (none where nothing
    had been billed): that line and all that adjust it are together never credited beyond their sum.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    # One key (tenant, invoice) stands for both (migration 0002).
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False)
    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="lines", db_constraint=False)
    # No key: the trigger of 0037 looks at the documents that the lines were taken from.
    subscription = models.ForeignKey(
        Subscription,
        models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=100)
    kind = models.CharField(max_length=32)
    timing = models.CharField(max_length=16)
    app_key = models.CharField(max_length=100, blank=True)
    description = models.CharField(max_length=300)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    unit_price = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    amount_minor = models.BigIntegerField()
    discount_minor = models.BigIntegerField(default=0, db_default=0)
    tax_percent = models.DecimalField(
        max_digits=15, decimal_places=12, default=Decimal(0), db_default=Decimal(0)
    )
    tax_code = models.CharField(
        max_length=16,
        choices=[(c.value, c.value) for c in TaxCode],
        default=TaxCode.NONE,
        db_default=TaxCode.NONE.value,
    )
    tax_minor = models.BigIntegerField(default=0, db_default=0)
    period_starts_at = models.DateTimeField()
    period_ends_at = models.DateTimeField()
    plan_version = models.ForeignKey(PlanVersion, models.PROTECT, null=True, related_name="+")
    adjusts = models.UUIDField(null=True)
    explanation = models.JSONField()

    web_access = "read"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "invoice", "position"], name="billing_invoice_line_once"
            ),
        ]

    def __str__(self) -> str:
        return f"line {self.position}"


class Charge(models.Model):
    """What is to be billed beside a subscription: a draft by hand, until it is issued as one invoice.

    `reference` is the caller's name for it, unique per tenant, so that asking twice bills once. `lines` are
    documents as `billing.invoicing.charges.domain` reads them; their amounts, taxes and what a commitment
    misses are worked out when it is shown and once more when it is issued. At `issue_at` a billing run
    issues it (None: when somebody says so). `fault_*` tell why the last try could not. What was issued
    never changes (trigger of ``0029``).
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in CHARGE_KINDS])
    reference = models.CharField(max_length=100)
    currency = models.CharField(max_length=3)
    lines = models.JSONField()
    issue_at = models.DateTimeField(null=True)
    days_to_pay = models.PositiveSmallIntegerField(default=DAYS_TO_PAY)
    state = models.CharField(
        max_length=16,
        choices=[(s.value, s.value) for s in ChargeState],
        default=ChargeState.DRAFT,
    )
    # Its key is (tenant, invoice) (migration 0029).
    invoice = models.ForeignKey(
        Invoice, models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    fault_code = models.CharField(max_length=100, blank=True)
    fault_detail = models.TextField(blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    concluded_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="billing_charge_tenant_id"),
            models.UniqueConstraint(
                fields=["tenant", "reference"], name="billing_charge_reference_once"
            ),
            models.UniqueConstraint(
                fields=["tenant", "invoice"], name="billing_charge_invoice_once"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in CHARGE_KINDS])
                & (
                    Q(state="draft", invoice__isnull=True, concluded_at__isnull=True)
                    | Q(state="issued", invoice__isnull=False, concluded_at__isnull=False)
                    | Q(state="nothing_due", invoice__isnull=True, concluded_at__isnull=False)
                ),
                name="billing_charge_state",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["issue_at", "id"], name="billing_charge_due", condition=Q(state="draft")
            ),
            models.Index(fields=["tenant", "-created_at"], name="billing_charge_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Proforma(models.Model):
    """A paper that tells beforehand what an invoice will ask for: no invoice, without a number of its series, and
    posted nowhere.

    It is of a charge (`charge_id`, which may be gone later) or of the next invoice of a subscription, as that
    stood at `created_at`. `paper` is all that it says, of which a job makes the bytes (None: they were made
    with the row); they are kept as they were rendered, and nothing else of the row ever changes.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    reference = models.CharField(max_length=30)
    charge_id = models.UUIDField(null=True)
    subscription_id = models.UUIDField(null=True)
    currency = models.CharField(max_length=3)
    tax_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()
    language = models.CharField(max_length=16)
    valid_until = models.DateField()
    paper = models.JSONField(null=True)
    content = models.BinaryField(null=True)
    sha256 = models.BinaryField(max_length=32, null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    web_access = "append"
    jobs_access = "renew"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "reference"], name="billing_proforma_reference_once"
            ),
            models.CheckConstraint(
                condition=Q(charge_id__isnull=False, subscription_id__isnull=True)
                | Q(charge_id__isnull=True, subscription_id__isnull=False),
                name="billing_proforma_of_one",
            ),
            models.CheckConstraint(
                condition=Q(content__isnull=False, sha256__isnull=False)
                | Q(content__isnull=True, sha256__isnull=True, paper__isnull=False),
                name="billing_proforma_printed",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-created_at"], name="billing_proforma_recent"),
        ]

    def __str__(self) -> str:
        return self.reference


class InvoiceFile(models.Model):
    """The bytes of an issued document, rendered once and never again."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="files")
    media_type = models.CharField(max_length=100)
    language = models.CharField(max_length=16)
    content = models.BinaryField()
    sha256 = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=clock.now)

    web_access = "append"
    jobs_access = "keep"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "invoice", "media_type", "language"],
                name="billing_invoice_file_once",
            ),
        ]

    def __str__(self) -> str:
        return f"file {self.pk}"


class CreditNote(models.Model):
    """An issued correction in the tenant's favour, frozen from the start; all amounts are positive.

    `total` = `to_receivable` (less is owed on the invoice) + `to_balance` (credited as cash).
    `document` is the draft that came out negative and was issued as this note; it is void and keeps
    its lines, which count as billed. `issuer`, `buyer` and `national_tax` are as an invoice keeps them.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    seller = models.ForeignKey(Seller, models.PROTECT, related_name="+")
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, related_name="credit_notes")
    subscription = models.ForeignKey(Subscription, models.PROTECT, null=True, related_name="+")
    document = models.ForeignKey(
        Invoice, models.PROTECT, null=True, related_name="issued_as", db_index=False
    )
    number = models.CharField(max_length=30, unique=True)
    currency = models.CharField(max_length=3)
    timezone = models.CharField(max_length=64)
    language = models.CharField(max_length=16, default="en")
    issued_at = models.DateTimeField()
    reason = models.CharField(max_length=500)
    tax_minor = models.BigIntegerField(default=0)
    total_minor = models.BigIntegerField()
    to_receivable_minor = models.BigIntegerField()
    to_balance_minor = models.BigIntegerField()
    issuer = models.JSONField(null=True)
    buyer = models.JSONField(default=dict)
    national_tax = models.JSONField(null=True)

    web_access = "read"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="billing_credit_note_tenant_id"),
            models.CheckConstraint(
                condition=Q(total_minor__gt=0, to_receivable_minor__gte=0, to_balance_minor__gte=0)
                & Q(total_minor=models.F("to_receivable_minor") + models.F("to_balance_minor")),
                name="billing_credit_note_adds_up",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-issued_at"]),
            # Most notes were never a draft.
            models.Index(
                fields=["document"],
                name="billing_credit_note_document",
                condition=Q(document__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.number


class CreditNoteLine(models.Model):
    """One amount of a credit note, before tax; with `invoice_line`, it takes back (a part of) that
    line, and tax by that line's rate. `timing` tells whether that was billed ahead of its service; lines
    of before it was kept have none, and that of the line they take back counts."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    # No key: the trigger of 0007 looks the line up by tenant and id, and at its amount as well.
    invoice_line = models.ForeignKey(
        InvoiceLine, models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    key = models.CharField(max_length=100)
    timing = models.CharField(max_length=16, default="", db_default="")
    description = models.CharField(max_length=300)
    amount_minor = models.BigIntegerField()
    tax_percent = models.DecimalField(
        max_digits=15, decimal_places=12, default=Decimal(0), db_default=Decimal(0)
    )
    tax_code = models.CharField(
        max_length=16,
        choices=[(c.value, c.value) for c in TaxCode],
        default=TaxCode.NONE,
        db_default=TaxCode.NONE.value,
    )
    tax_minor = models.BigIntegerField(default=0, db_default=0)
    period_starts_at = models.DateTimeField()
    period_ends_at = models.DateTimeField()
    explanation = models.JSONField(default=dict)

    web_access = "read"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "credit_note", "position"], name="billing_credit_note_line_once"
            ),
        ]

    def __str__(self) -> str:
        return f"line {self.position}"


class CreditNoteFile(models.Model):
    """The bytes of a credit note, rendered once and never again."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, related_name="files")
    media_type = models.CharField(max_length=100)
    language = models.CharField(max_length=16)
    content = models.BinaryField()
    sha256 = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=clock.now)

    web_access = "append"
    jobs_access = "keep"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "credit_note", "media_type", "language"],
                name="billing_credit_note_file_once",
            ),
        ]

    def __str__(self) -> str:
        return f"file {self.pk}"


class LateUsage(models.Model):
    """How late usage of a period that had been billed was settled; one row each time, never changed.

    `corrections` is how many corrections the period's days had then. `lines` are the differences:
    price, app, what was billed and what the usage comes to. `document` bills them, unless they were
    waived or there are none.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="+")
    period_starts_at = models.DateTimeField()
    period_ends_at = models.DateTimeField()
    corrections = models.BigIntegerField()
    outcome = models.CharField(
        max_length=16, choices=[(outcome.value, outcome.value) for outcome in LateUsageOutcome]
    )
    document = models.ForeignKey(Invoice, models.PROTECT, null=True, related_name="+")
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    lines = models.JSONField(default=list)
    reason = models.CharField(max_length=500, blank=True)
    settled_at = models.DateTimeField()

    web_access = "read"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "subscription", "period_starts_at", "corrections"],
                name="billing_late_usage_once",
            ),
            models.CheckConstraint(
                condition=Q(outcome="adjusted", document__isnull=False)
                | Q(outcome="waived")
                | Q(outcome="unchanged", amount_minor=0),
                name="billing_late_usage_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"late usage of {self.period_starts_at:%Y-%m-%d}"
