"""Check the audit trail's hash chains, and their exported heads."""

from typing import Any

from tenants import audit
from tenants.scope import system_scope
from tenants.services.audit_heads import check_audit_heads, heads_folder
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Check every hash chain of the audit trail against itself and against the heads exported "
        "below SUMMIT_HOME/audit-heads; name the first broken row of each."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with system_scope(purpose="verify the audit trail", actor="command"):
            broken = audit.verify()
            heads = check_audit_heads(folder=heads_folder())
        # A chain that is broken in itself is told of once, by its first broken row.
        told = {link.tenant_id: link for link in [*heads.broken_links, *broken]}
        failed = bool(told or heads.broken_files)
        self.emit(
            {
                "ok": not failed,
                "broken": [
                    {
                        "tenant_id": link.tenant_id,
                        "sequence": link.sequence,
                        "fault": link.fault,
                    }
                    for link in told.values()
                ],
                "heads": {
                    "files": heads.files,
                    "heads": heads.heads,
                    "broken": [
                        {"file": file.name, "fault": file.fault} for file in heads.broken_files
                    ],
                },
            },
            failed=failed,
        )
