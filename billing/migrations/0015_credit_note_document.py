"""An index for the drafts that were issued as credit notes, made while the table is in use."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies: ClassVar = [("billing", "0014_tax_guards")]

    operations: ClassVar = [
        AddIndexConcurrently(
            model_name="creditnote",
            index=models.Index(
                fields=["document"],
                name="billing_credit_note_document",
                condition=models.Q(document__isnull=False),
            ),
        ),
    ]
