"""Take in events of many tenants at once."""

from collections.abc import Sequence
from datetime import datetime

from metering.ingest.domain.events import UsageEvent
from metering.ingest.queries import apps_by_key, tenant_facts
from metering.ingest.services.admit import IngestResult, Submission, Teller, admit


def collect_events(*, events: Sequence[UsageEvent], now: datetime) -> IngestResult:
    """Store each new event exactly once, whoever it belongs to, in the caller's cross-tenant
    transaction; for sources that speak for the whole platform.

    An event belongs to the tenant that has the app of its subject. The same rules as for one
    tenant's request apply. Nothing is rolled up: the caller does it, or the minute's schedule.
    """
    apps = apps_by_key(keys={event.subject for event in events})
    tellers = {
        facts.id: Teller(facts)
        for facts in tenant_facts(tenant_ids={app.tenant_id for app in apps.values()}).values()
    }
    submissions = []
    for index, event in enumerate(events):
        app = apps.get(event.subject)
        submissions.append(
            Submission(
                index=index,
                teller=None if app is None else tellers[app.tenant_id],
                event=event,
                app_id=None if app is None else app.id,
            )
        )
    return admit(submissions=submissions, now=now, check_age=True, wake=None)
