"""The chain of a day, from the reports of gateways to the journal, compared link by link.

Needs a cross-tenant scope.
"""

from datetime import date, datetime

from billing.certificates.billed_usage import invoice_quantities
from billing.certificates.documents import currency_figures, invoice_lines, ledger
from billing.certificates.domain import (
    Check,
    CheckName,
    Finding,
    MeterFigures,
    Reconciliation,
    checked,
    is_over_everywhere,
)
from billing.certificates.keys import keys_of
from metering import queries as metering
from metering import reconciliation as usage_of_day
from metering.retention.queries import first_recountable_day


def reconcile(*, day: date, now: datetime) -> Reconciliation:
    """Compare all that the day left behind: the reports of gateways, events, daily usage, the invoices
    and credit notes issued on it in their own zone, and the journal. Changes nothing.

    Counts what has been rolled up; a caller that must count everything committed rolls it up first.
    """
    return Reconciliation(
        day=day,
        is_closed=is_over_everywhere(day=day, now=now) and not usage_of_day.open_tenants(day=day),
        checks=[
            _reports(day),
            _events(day),
            _closed_days(day),
            invoice_quantities(day),
            invoice_lines(day),
            ledger(day),
        ],
        meters=[
            MeterFigures(meter=each.meter, values=each.values, total=f"{each.total:f}")
            for each in usage_of_day.meter_days(day=day)
        ],
        currencies=currency_figures(day),
    )


def _reports(day: date) -> Check:
    reports, gaps = usage_of_day.reports_of(day=day)
    return checked(
        CheckName.REPORTS,
        compared=reports,
        findings=[
            Finding(
                code="reports_missing",
                where={
                    "gateway": gap.gateway,
                    "epoch": gap.epoch,
                    "first": gap.first,
                    "last": gap.last,
                },
            )
            for gap in gaps
        ],
    )


def _events(day: date) -> Check:
    values = sum(each.values for each in usage_of_day.meter_days(day=day))
    first = first_recountable_day()
    are_gone = first is not None and day < first
    if are_gone and not usage_of_day.recounted_values(day=day):
        return checked(CheckName.EVENTS, compared=0, findings=[], noted=values)
    recount = (usage_of_day.kept_recount_of if are_gone else usage_of_day.recount_of)(day=day)
    tenants, apps = keys_of({each.tenant_id for each in recount.differences})
    findings = [
        Finding(
            code="usage_differs",
            where={
                "tenant": tenants.get(each.tenant_id, str(each.tenant_id)),
                "app": apps.get(each.app_id, str(each.app_id)),
                "meter": each.meter,
                "kind": each.kind,
                "stored": f"{each.stored:f}",
                "recounted": f"{each.recounted:f}",
            },
        )
        for each in recount.differences
    ]
    if not recount.is_complete:
        findings.append(Finding(code="too_many_differences", where={}))
    return checked(CheckName.EVENTS, compared=values, findings=findings, noted=recount.recorded)


def _closed_days(day: date) -> Check:
    changed = [tenant_id for tenant_id, _ in metering.changed_closed_days(day=day)]
    tenants, _ = keys_of(set(changed))
    return checked(
        CheckName.CLOSED_DAYS,
        compared=usage_of_day.closed_tenants(day=day),
        findings=[
            Finding(
                code="closed_day_changed",
                where={"tenant": tenants.get(each, str(each)), "day": day.isoformat()},
            )
            for each in changed
        ],
    )
