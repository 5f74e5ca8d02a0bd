"""Say what a category of products is called in the tax classification."""

from datetime import datetime

from billing.fapiao.domain.content import FapiaoProduct
from billing.fapiao.domain.validation import FapiaoFaults, product_faults
from billing.fapiao.models import FapiaoProductName
from tenants import audit


def set_fapiao_product(
    *, category: str, product: FapiaoProduct, now: datetime, actor: str, seller: str = "default"
) -> None:
    """Keep the product for the seller's next fapiao, in the caller's cross-tenant scope.

    `category` "" is for every category without one of its own. Raises FapiaoFaults with every fault.
    """
    faults = list(product_faults("product", product))
    if faults:
        raise FapiaoFaults(faults)
    FapiaoProductName.objects.update_or_create(
        seller_id=seller,
        category=category,
        defaults={
            "name": product.name,
            "code": product.code,
            "unit": product.unit,
            "specification": product.specification,
        },
    )
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action="fapiao.product_set",
            target=f"category:{category}",
            after={"name": product.name, "code": product.code},
        ),
        now=now,
    )
