"""What a fapiao says, as plain values. Amounts are in fen, positive on blue and red ones alike. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from billing.fapiao.domain.states import BuyerType, FapiaoKind
from kernel.decimals import plain_text


@dataclass(frozen=True, slots=True, kw_only=True)
class FapiaoTitle:
    """For whom it is issued (发票抬头) and of which kind; empty where nothing is given."""

    kind: FapiaoKind = FapiaoKind.ORDINARY
    buyer_type: BuyerType = BuyerType.ORGANISATION
    name: str
    tax_id: str = ""
    address: str = ""
    phone: str = ""
    bank: str = ""
    bank_account: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FapiaoSeller:
    """Who sells."""

    name: str
    tax_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FapiaoProduct:
    """What is sold, as the tax classification names it; `code` has 19 digits."""

    name: str
    code: str
    unit: str = ""
    specification: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FapiaoLine:
    """One product at one rate: net and tax in fen. Quantity is 1: what is billed is told by the invoice."""

    product: FapiaoProduct
    rate_percent: Decimal
    net: int
    tax: int
    is_preferential: bool = False
    """Free of tax or taxed at nothing by a preference of the law (优惠政策标识)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FapiaoContent:
    """A whole request; frozen when it is made.

    A red one names in `of_number` the blue one that it takes back.
    """

    seller: FapiaoSeller
    title: FapiaoTitle
    lines: Sequence[FapiaoLine]
    remark: str = ""
    of_number: str = ""

    @property
    def net(self) -> int:
        return sum(line.net for line in self.lines)

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def total(self) -> int:
        return self.net + self.tax

    @property
    def document(self) -> dict[str, Any]:
        """The same as JSON for storing and for the platform; amounts are texts in yuan."""
        title = self.title
        return {
            "kind": title.kind.value,
            "seller": {"name": self.seller.name, "tax_id": self.seller.tax_id},
            "buyer": {
                "type": title.buyer_type.value,
                "name": title.name,
                "tax_id": title.tax_id,
                "address": title.address,
                "phone": title.phone,
                "bank": title.bank,
                "bank_account": title.bank_account,
                "email": title.email,
            },
            "lines": [
                {
                    "name": line.product.name,
                    "code": line.product.code,
                    "unit": line.product.unit,
                    "specification": line.product.specification,
                    "quantity": "1",
                    "price": _yuan(line.net),
                    "net": _yuan(line.net),
                    "rate_percent": plain_text(line.rate_percent),
                    "tax": _yuan(line.tax),
                    "is_preferential": line.is_preferential,
                }
                for line in self.lines
            ],
            "net": _yuan(self.net),
            "tax": _yuan(self.tax),
            "total": _yuan(self.total),
            "remark": self.remark,
            "of_number": self.of_number,
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The content that `document` gave."""
        buyer = document["buyer"]
        return cls(
            seller=FapiaoSeller(**document["seller"]),
            title=FapiaoTitle(
                kind=FapiaoKind(document["kind"]),
                buyer_type=BuyerType(buyer["type"]),
                **{name: text for name, text in buyer.items() if name != "type"},
            ),
            lines=tuple(
                FapiaoLine(
                    product=FapiaoProduct(
                        name=line["name"],
                        code=line["code"],
                        unit=line["unit"],
                        specification=line["specification"],
                    ),
                    rate_percent=Decimal(line["rate_percent"]),
                    net=_fen(line["net"]),
                    tax=_fen(line["tax"]),
                    is_preferential=line["is_preferential"],
                )
                for line in document["lines"]
            ),
            remark=document["remark"],
            of_number=document["of_number"],
        )


def _yuan(fen: int) -> str:
    return f"{Decimal(fen).scaleb(-2):f}"


def _fen(yuan: str) -> int:
    return int(Decimal(yuan).scaleb(2))
