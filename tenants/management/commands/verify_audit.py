"""Check the audit trail's hash chains."""

from typing import Any

from tenants import audit
from tenants.scope import system_scope
from work.commands import SummitCommand


class Command(SummitCommand):
    help = "Check every hash chain of the audit trail; name the first broken row of each."

    def handle(self, *args: Any, **options: Any) -> None:
        with system_scope(purpose="verify the audit trail", actor="command"):
            broken = audit.verify()
        self.emit(
            {
                "ok": not broken,
                "broken": [
                    {
                        "tenant_id": link.tenant_id,
                        "sequence": link.sequence,
                        "fault": link.fault,
                    }
                    for link in broken
                ],
            },
            failed=bool(broken),
        )
