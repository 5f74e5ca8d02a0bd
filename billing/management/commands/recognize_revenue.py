"""Post what was earned of what was billed ahead."""

from argparse import ArgumentParser
from typing import Any

from billing.ledger.services.recognize_revenue import recognize_revenue
from kernel import clock
from work.commands import SummitCommand, date_argument


class Command(SummitCommand):
    help = (
        "Post, day by day, the revenue that was earned up to the end of a day of what was billed in "
        "advance; safe to run again. The schedule does it every day."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--through",
            type=date_argument,
            required=True,
            help="the last day that counts as served",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        recognized = recognize_revenue(through=options["through"], now=clock.now())
        self.emit(
            {
                "through": options["through"],
                "days": recognized.days,
                "transactions": recognized.transactions,
            }
        )
