"""Check a day from what was counted to what was posted, and sign what was found."""

from argparse import ArgumentParser
from typing import Any

from billing.certificates.queries import find_certificate
from billing.certificates.services import certify_day
from kernel import clock
from tenants.scope import system_scope
from work.commands import SummitCommand, date_argument


class Command(SummitCommand):
    help = (
        "Compare a day's reports, events, daily usage, the quantities and totals of the documents "
        "issued on it, and the journal; name what differs first. Of a day that is closed a signed "
        "certificate is kept."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--date", type=date_argument, required=True, help="the day to check")

    def handle(self, *args: Any, **options: Any) -> None:
        certified = certify_day(day=options["date"], now=clock.now())
        found = certified.found
        document: dict[str, Any] = {
            "ok": found.agrees,
            "closed": found.is_closed,
            **found.document(),
        }
        if found.first_finding is not None:
            document["first_bad"] = found.first_finding.document()
        if certified.certificate_id is not None:
            with system_scope(purpose="show a certificate", actor="command"):
                kept = find_certificate(certificate_id=certified.certificate_id)
            if kept is not None:
                document["certificate"] = {
                    "version": kept.version,
                    "new": certified.is_new,
                    "public_key": kept.public_key.hex(),
                    "signature": kept.signature.hex(),
                }
        self.emit(document, failed=not found.agrees)
