"""The topics' models, gathered for Django: one app, one migration history."""

from billing.catalog.models import Plan, PlanOffer, PlanVersion
from billing.certificates.models import Certificate
from billing.discounts.models import Coupon
from billing.exchange.models import ExchangeRate
from billing.fapiao.models import Fapiao, FapiaoBuyer, FapiaoFile, FapiaoProductName
from billing.invoicing.dry_runs.models import ExpectedTotal
from billing.invoicing.models import (
    BillingRun,
    Charge,
    CreditNote,
    CreditNoteFile,
    CreditNoteLine,
    Invoice,
    InvoiceFile,
    InvoiceLine,
    LateUsage,
    NumberSeries,
    Proforma,
    Seller,
)
from billing.invoicing.request_models import InvoiceRequest, InvoiceRequestLine
from billing.ledger.models import (
    AccountingPeriod,
    BalanceLot,
    JournalEntry,
    JournalTransaction,
    LedgerAccount,
    PeriodRequest,
)
from billing.mailing.models import DocumentMail, MailPreference
from billing.parties.models import BillingProfile
from billing.payments.models import *  # noqa: F403  # the topic's own __all__ names them
from billing.retention.models import LegalHold, RemovedFile, RetentionRule
from billing.statements.models import (
    MonthlyStatement,
    Statement,
    StatementFile,
    StatementFilePart,
)
from billing.subscriptions.models import (
    PlanMigration,
    Subscription,
    SubscriptionChange,
    SubscriptionDiscount,
    SubscriptionHolding,
    SubscriptionPause,
    SubscriptionPhase,
    SubscriptionPrice,
)
from billing.taxes.models import TaxRate

__all__ = [
    "AccountingPeriod",
    "BalanceLot",
    "BillingProfile",
    "BillingRun",
    "Certificate",
    "Charge",
    "Coupon",
    "CreditNote",
    "CreditNoteFile",
    "CreditNoteLine",
    "DocumentMail",
    "ExchangeRate",
    "ExpectedTotal",
    "Fapiao",
    "FapiaoBuyer",
    "FapiaoFile",
    "FapiaoProductName",
    "Invoice",
    "InvoiceFile",
    "InvoiceLine",
    "InvoiceRequest",
    "InvoiceRequestLine",
    "JournalEntry",
    "JournalTransaction",
    "LateUsage",
    "LedgerAccount",
    "LegalHold",
    "MailPreference",
    "MonthlyStatement",
    "NumberSeries",
    "PeriodRequest",
    "Plan",
    "PlanMigration",
    "PlanOffer",
    "PlanVersion",
    "Proforma",
    "RemovedFile",
    "RetentionRule",
    "Seller",
    "Statement",
    "StatementFile",
    "StatementFilePart",
    "Subscription",
    "SubscriptionChange",
    "SubscriptionDiscount",
    "SubscriptionHolding",
    "SubscriptionPause",
    "SubscriptionPhase",
    "SubscriptionPrice",
    "TaxRate",
]
