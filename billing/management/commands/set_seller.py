"""Say who issues the invoices."""

from typing import Any

from django.core.management.base import CommandParser

from billing.invoicing.services.describe_seller import FIELDS, describe_seller
from kernel import clock
from tenants.scope import system_scope
from work.commands import SummitCommand

_PARTS = {
    "--street": "The parts of the address, in place of --address.",
    "--city": None,
    "--postal-code": None,
    "--subdivision": "State or province, where addresses name it.",
    "--registration-id": "In the trade register.",
    "--endpoint-scheme": "What its electronic address is: a code of the list EAS, such as 9930.",
    "--endpoint-id": "Its electronic address.",
    "--email": "For questions about invoices.",
    "--iban": "The account that transfers go to.",
    "--bic": None,
    "--representative-name": "Who owes the tax in its place, where that is another.",
    "--representative-street": None,
    "--representative-city": None,
    "--representative-postal-code": None,
    "--representative-country": None,
    "--representative-tax-id": None,
}


class Command(SummitCommand):
    help = (
        "Say who issues the invoices: what is given is changed, and the whole is printed. Without "
        "options it only prints."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", help="The legal entity's name.")
        parser.add_argument("--address", help="Its address; lines are separated by line breaks.")
        parser.add_argument("--tax-id")
        parser.add_argument("--country", help="Two letters, such as CN.")
        for option, told in _PARTS.items():
            parser.add_argument(option, help=told)
        parser.add_argument("--bank-details", help="What a bank transfer needs.")
        parser.add_argument("--number-prefix", help="How invoice numbers begin, such as INV.")
        parser.add_argument(
            "--tax-rounding", help="per_rate (once for each rate of a document) or per_line."
        )
        parser.add_argument(
            "--tax-category", help="Whose rate a taxable tenant bears where its plan names none."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        changes = {field: options[field] for field in FIELDS if options[field] is not None}
        with system_scope(purpose="describe the seller", actor="command"):
            seller = describe_seller(changes=changes, now=clock.now(), actor="command:set_seller")
        self.emit(seller)
