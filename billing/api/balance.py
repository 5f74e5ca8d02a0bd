"""The tenant's prepaid balance over HTTP."""

from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.ledger.domain import BalanceKind
from billing.payments.balance_listing import BalanceSum, LotRow, balance_sums, lot_page
from kernel import clock
from kernel.ids import public_id
from tenants.api.endpoint import ListEndpoint, PageQuery
from tenants.api.schema import (
    AMOUNT,
    INSTANT,
    NULLABLE_INSTANT,
    TEXT,
    WHOLE,
    answers,
    id_of,
    list_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

_KEYS: Final = ("prices", "plans", "apps")
LOT: Final = record(
    id=id_of("lot"),
    kind=one_of(*BalanceKind),
    currency=TEXT,
    amount=AMOUNT,
    drawn={**AMOUNT, "description": "What paid invoices."},
    expired={**AMOUNT, "description": "What was left when it ended."},
    left=AMOUNT,
    granted_at=INSTANT,
    expires_at={**NULLABLE_INSTANT, "description": "From when on it pays nothing."},
    priority={**WHOLE, "description": "The lower pays first."},
    scope={
        **record(**{name: list_of(TEXT) for name in _KEYS}),
        "description": "What it may pay, by keys; an empty list is no limit.",
    },
)
BALANCE: Final = page_of(LOT)
BALANCE["required"] = ["balances", *BALANCE["required"]]
BALANCE["properties"] = {
    "balances": {
        **list_of(record(currency=TEXT, total=AMOUNT, cash=AMOUNT, gift=AMOUNT, voucher=AMOUNT)),
        "description": "What is left, by currency.",
    },
    **BALANCE["properties"],
}


class BalanceView(ListEndpoint):
    """What the tenant has to its credit, and where it came from."""

    key_scopes = {"GET": {KeyScope.READ}}
    list_name = "balance"

    @extend_schema(
        operation_id="read_balance",
        summary="Read the balance, and what came into it, newest first",
        parameters=[PageQuery],
        responses=answers(BALANCE),
    )
    def get(self, request: Request) -> Response:
        now = clock.now()
        with self.scope():
            sums = balance_sums(tenant_id=self.caller.tenant_id, now=now)
            rows = lot_page(
                tenant_id=self.caller.tenant_id, now=now, after=self.after_id, limit=self.wanted
            )

        def shown(row: LotRow) -> dict[str, Any]:
            return {
                "id": public_id("lot", row.id),
                "kind": row.kind.value,
                "currency": row.amount.currency,
                "amount": f"{row.amount.amount:f}",
                "drawn": f"{row.drawn.amount:f}",
                "expired": f"{row.expired.amount:f}",
                "left": f"{row.left.amount:f}",
                "granted_at": self.instant(row.granted_at),
                "expires_at": self.instant(row.expires_at),
                "priority": row.priority,
                "scope": {name: sorted(getattr(row.scope, name)) for name in _KEYS},
            }

        answer = self.page(rows, position=lambda row: str(row.id), shown=shown)
        answer.data = {"balances": [_sum(each) for each in sums], **answer.data}
        return answer


def _sum(each: BalanceSum) -> dict[str, str]:
    return {
        "currency": each.currency,
        "total": f"{each.total.amount:f}",
        **{kind.value: f"{left.amount:f}" for kind, left in each.left.items()},
    }
