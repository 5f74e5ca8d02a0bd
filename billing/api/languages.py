"""The languages that documents can be asked for in."""

from typing import Any

from rest_framework import serializers

from billing.invoicing.documents.words import printed_languages
from tenants.api.endpoint import Query


class LanguageQuery(Query):
    """In which language: any that has a catalogue here."""

    def get_fields(self) -> dict[str, Any]:
        # The catalogues that are installed are known when it is asked, not when this is imported.
        return {
            **super().get_fields(),
            "language": serializers.ChoiceField(
                choices=printed_languages(),
                required=False,
                default="",
                help_text="The document's own when left out.",
            ),
        }
