"""`allocate`: an amount split by weights, to the last minor unit."""

from billing.calculator.reading import Case
from kernel import allocation


def allocate(case: Case) -> dict[str, object]:
    """Shares by largest remainder, ties to the earlier; they sum to the amount."""
    currency = case.currency()
    amount = case.money("amount", currency=currency)
    if not case.has("weights"):
        case.missing("weights")
    weights = [each.figure(name) for each, name in case.elements("weights")]
    case.finish()

    shares = allocation.allocate(amount, weights)
    return {"shares": [f"{share.amount:f}" for share in shares]}
