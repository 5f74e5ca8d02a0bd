"""What a document calls one of its lines."""

from billing.catalog.queries import terms_of
from billing.invoicing.charges.domain import text_in
from billing.invoicing.models import InvoiceLine


def line_name(line: InvoiceLine, *, language: str) -> str:
    """The plan and price that it bills, or what was written by hand; its plan version is loaded."""
    version = line.plan_version
    if version is None:
        return text_in(line.explanation["by_hand"]["description"], language)
    plan = terms_of(version_id=version.id, document=version.document).name(language)
    return f"{plan} · {line.key}" if line.key else plan
