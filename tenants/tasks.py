"""What the tenants' room does by the clock."""

from datetime import timedelta

from tenants.scope import system_scope
from tenants.services.audit_heads import export_audit_heads, heads_folder
from tenants.services.compare_zones import compare_zones
from tenants.services.stored_answers import forget_old_answers
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule


@job_kind("tenants.export_audit_heads")
def export_heads(job: JobRun) -> Result:
    """Write down where the chains of the audit trail end today."""
    with system_scope(purpose="export the audit trail's heads"):
        return {"heads": export_audit_heads(folder=heads_folder(), now=job.now)}


@job_kind("tenants.forget_answers")
def forget_answers(job: JobRun) -> Result:
    """Remove stored answers that no repeated call may get any more."""
    with system_scope(purpose="forget stored answers"):
        return {"answers": forget_old_answers(now=job.now)}


@job_kind("tenants.compare_zones")
def same_zones(job: JobRun) -> Result:
    """Say which of the tenants' zones Python and PostgreSQL know otherwise."""
    with system_scope(purpose="compare time zones"):
        return {"differ": compare_zones(now=job.now)}


schedule(
    name="tenants.compare_zones",
    every=timedelta(days=1),
    kind="tenants.compare_zones",
    catch_up="last",
)
schedule(
    name="tenants.export_audit_heads",
    every=timedelta(days=1),
    kind="tenants.export_audit_heads",
    catch_up="last",
)
schedule(
    name="tenants.forget_answers",
    every=timedelta(days=1),
    kind="tenants.forget_answers",
    catch_up="last",
)
