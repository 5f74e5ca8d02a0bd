"""What a plan or a price says of tax: `tax_percent`, or `tax_category`."""

from decimal import Decimal

from billing.catalog.domain.fields import Fields
from billing.rating.terms import TaxTerms
from kernel.decimals import plain_text

_HIGHEST = Decimal(100)


def read_tax(fields: Fields) -> TaxTerms:
    """Faults `out_of_range` above 100 percent, `percent_and_category` where both are given."""
    percent = fields.optional_figure("tax_percent")
    if percent is not None and percent > _HIGHEST:
        fields.fault("tax_percent", "out_of_range", "is above 100; write a rate from 0 to 100.")
    category = fields.key("tax_category", default="")
    if percent is not None and fields.has("tax_category"):
        fields.fault(
            "tax_category",
            "percent_and_category",
            "is given beside tax_percent; keep the percentage, or the category whose dated rate "
            "is looked up.",
        )
    return TaxTerms(percent=percent, category=category)


def tax_document(terms: TaxTerms) -> dict[str, object]:
    """The same in the words of a plan document; empty where nothing is said."""
    told: dict[str, object] = {}
    if terms.percent is not None:
        told["tax_percent"] = plain_text(terms.percent)
    if terms.category:
        told["tax_category"] = terms.category
    return told
