"""Papers of credit notes: never changed, and gone with retention alone."""

import django.db.models.deletion
import kernel.clock
import kernel.ids
from django.db import migrations, models


_GUARD = """
CREATE TRIGGER billing_creditnotefile_kept BEFORE UPDATE OR DELETE ON billing_creditnotefile
    FOR EACH ROW EXECUTE FUNCTION billing_guard_kept_file('id');
CREATE TRIGGER billing_creditnotefile_no_truncate BEFORE TRUNCATE ON billing_creditnotefile
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
ALTER TABLE billing_creditnotefile ADD CONSTRAINT billing_creditnotefile_credit_note_id_of_tenant
    FOREIGN KEY (tenant_id, credit_note_id) REFERENCES billing_creditnote (tenant_id, id)
    DEFERRABLE INITIALLY IMMEDIATE;
"""
_UNDO_GUARD = """
ALTER TABLE billing_creditnotefile DROP CONSTRAINT billing_creditnotefile_credit_note_id_of_tenant;
DROP TRIGGER billing_creditnotefile_kept ON billing_creditnotefile;
DROP TRIGGER billing_creditnotefile_no_truncate ON billing_creditnotefile;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0038_dry_runs"),
        ("tenants", "0006_consolidation"),
    ]

    operations = [
        migrations.AlterField(
            model_name="removedfile",
            name="kind",
            field=models.CharField(
                choices=[
                    ("invoice", "invoice"),
                    ("credit_note", "credit_note"),
                    ("fapiao", "fapiao"),
                    ("statement", "statement"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="CreditNoteFile",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("media_type", models.CharField(max_length=100)),
                ("language", models.CharField(max_length=16)),
                ("content", models.BinaryField()),
                ("sha256", models.BinaryField(max_length=32)),
                ("created_at", models.DateTimeField(default=kernel.clock.now)),
                (
                    "credit_note",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="files",
                        to="billing.creditnote",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "credit_note", "media_type", "language"),
                        name="billing_credit_note_file_once",
                    )
                ],
            },
        ),
        migrations.RunSQL(_GUARD, _UNDO_GUARD),
    ]
