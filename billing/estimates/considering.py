"""A change that somebody considers: what may be asked, what was asked, and what it would bill."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from billing.catalog.queries import StoredVersion
from billing.estimates.queries import HeldNow, held_now
from billing.invoicing.services.preview_change import ChangePreview, preview_change
from billing.rating.terms import PriceTerms
from billing.subscriptions.asking import asked_change
from billing.subscriptions.domain import AskedChange, ChangeKind
from billing.subscriptions.queries import plans_offered
from kernel.errors import DomainError
from kernel.ids import public_id

MOST_OFFERS: Final = 50
"""Plans that a form offers; price lists have a handful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """What is held, and a change of it; `running` are all of the tenant's running subscriptions, of which it is
    one. `asked` and `preview` are None until the texts ask for one, and
    `refusal` is why they can't."""

    held: HeldNow
    running: Sequence[HeldNow]
    kinds: Sequence[ChangeKind]
    offers: Sequence[StoredVersion]
    asked: AskedChange | None
    preview: ChangePreview | None
    refusal: DomainError | None

    @property
    def prices(self) -> Sequence[PriceTerms]:
        """The prices of which a quantity may be held."""
        return tuple(price for price in self.held.terms.prices if price.metering is None)


def consider_change(
    *,
    tenant_id: UUID,
    texts: Mapping[str, str],
    allowed: Collection[ChangeKind],
    now: datetime,
    for_staff: bool = False,
) -> Considered | None:
    """What the texts of a form ask for (see `asked_change`) of the subscription whose id is the text
    `subscription`, of the one that started first where none of that id runs; None where none runs."""
    running = held_now(tenant_id=tenant_id, now=now)
    if not running:
        return None
    wanted = texts.get("subscription", "")
    held = next(
        (each for each in running if public_id("sub", each.subscription_id) == wanted), running[0]
    )
    asked, preview, refusal = None, None, None
    if texts.get("kind"):
        try:
            asked = asked_change(texts, allowed=allowed)
            preview = preview_change(
                tenant_id=tenant_id,
                subscription_id=held.subscription_id,
                asked=asked,
                now=now,
                for_staff=for_staff,
            )
        except DomainError as error:
            refusal = error
    offers = [
        each
        for each in plans_offered(
            tenant_id=tenant_id, day=held.day, limit=MOST_OFFERS, for_staff=for_staff
        )
        if each.terms.currency == held.terms.currency
        and held.may_take(each.terms, now=now)
        and (each.plan_key, each.number) != (held.terms.key, held.version)
    ]
    return Considered(
        held=held,
        running=running,
        kinds=tuple(kind for kind in allowed if _fits(kind, held)),
        offers=offers,
        asked=asked,
        preview=preview,
        refusal=refusal,
    )


def _fits(kind: ChangeKind, held: HeldNow) -> bool:
    """Whether the kind can make sense of what is held; the rest is refused with its reason."""
    match kind:
        case ChangeKind.ADD:
            return any(price.addon for price in held.terms.prices)
        case ChangeKind.REMOVE:
            return any(price.addon and price.key in held.quantities for price in held.terms.prices)
        case ChangeKind.QUANTITY:
            return any(price.metering is None for price in held.terms.prices)
        case ChangeKind.CANCEL:
            return held.ends_at is None
        case ChangeKind.UNDO_CANCEL:
            return held.ends_at is not None
        case ChangeKind.RESUME:
            return held.is_paused
        case ChangeKind.PAUSE:
            return not held.is_paused
        case ChangeKind.END_TRIAL:
            return held.is_on_trial
        case ChangeKind.PLAN | ChangeKind.UNDO_CHANGE | ChangeKind.COUPON:
            return True
