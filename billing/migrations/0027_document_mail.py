"""Mails of documents, and what the database itself refuses of them, whoever asks.

- A mail is of one document of its own tenant and stays with its address.
- Its state only goes on as `billing.mailing.domain` says.
"""

import django.db.models.deletion
from django.db import migrations, models

import kernel.clock
import kernel.ids

_GUARD = """
CREATE FUNCTION billing_guard_mail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.tenant_id, NEW.invoice_id, NEW.credit_note_id, NEW.address)
       IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.invoice_id, OLD.credit_note_id, OLD.address) THEN
        RAISE EXCEPTION 'a mail stays with its document and its address'
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state <> OLD.state AND NOT (OLD.state, NEW.state) IN (
           ('waiting', 'sending'), ('waiting', 'failed'),
           ('sending', 'waiting'), ('sending', 'sent'), ('sending', 'delivered'),
           ('sending', 'bounced'), ('sending', 'uncertain'), ('sending', 'failed'),
           ('sent', 'delivered'), ('sent', 'bounced'), ('sent', 'waiting'),
           ('delivered', 'bounced'), ('delivered', 'waiting'),
           ('bounced', 'delivered'), ('bounced', 'waiting'),
           ('uncertain', 'sent'), ('uncertain', 'delivered'), ('uncertain', 'bounced'),
           ('uncertain', 'waiting'), ('failed', 'waiting')) THEN
        RAISE EXCEPTION 'a mail does not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_documentmail_guard BEFORE UPDATE ON billing_documentmail
    FOR EACH ROW EXECUTE FUNCTION billing_guard_mail();
"""
_UNDO_GUARD = "DROP FUNCTION billing_guard_mail() CASCADE;"


def _key(column: str, target: str) -> migrations.RunSQL:
    """A key to another row that carries the tenant."""
    return migrations.RunSQL(
        f"ALTER TABLE billing_documentmail ADD CONSTRAINT billing_documentmail_{column}_of_tenant"
        f" FOREIGN KEY (tenant_id, {column}) REFERENCES {target} (tenant_id, id)"
        " DEFERRABLE INITIALLY IMMEDIATE",
        f"ALTER TABLE billing_documentmail DROP CONSTRAINT billing_documentmail_{column}_of_tenant",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0026_parties_and_rates"),
        ("tenants", "0004_taxes"),
    ]

    operations = [
        migrations.CreateModel(
            name="MailPreference",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tenants.tenant",
                    ),
                ),
                ("is_on", models.BooleanField(default=True)),
                ("to_members", models.BooleanField(default=True)),
                ("addresses", models.JSONField(default=list)),
                ("changed_at", models.DateTimeField(default=kernel.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="DocumentMail",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kernel.ids.new_id, primary_key=True, serialize=False),
                ),
                ("address", models.EmailField(max_length=254)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("sending", "sending"),
                            ("sent", "sent"),
                            ("delivered", "delivered"),
                            ("bounced", "bounced"),
                            ("uncertain", "uncertain"),
                            ("failed", "failed"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("batch", models.UUIDField()),
                ("copy", models.PositiveSmallIntegerField(db_default=1, default=1)),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0)),
                (
                    "provider_id",
                    models.CharField(blank=True, db_default="", default="", max_length=200),
                ),
                (
                    "failure_code",
                    models.CharField(blank=True, db_default="", default="", max_length=64),
                ),
                (
                    "failure_detail",
                    models.CharField(blank=True, db_default="", default="", max_length=500),
                ),
                ("planned_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField(null=True)),
                ("concluded_at", models.DateTimeField(null=True)),
                (
                    "credit_note",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.creditnote",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.invoice",
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
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["waiting", "sending"])),
                        fields=["batch", "id"],
                        name="billing_mail_under_way",
                    ),
                    models.Index(fields=["-planned_at", "-id"], name="billing_mail_newest"),
                    models.Index(
                        condition=models.Q(("state__in", ["failed", "uncertain", "bounced"])),
                        fields=["-planned_at", "-id"],
                        name="billing_mail_troubled",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("invoice__isnull", False)),
                        fields=("tenant", "invoice", "address"),
                        name="billing_mail_once_an_invoice",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("credit_note__isnull", False)),
                        fields=("tenant", "credit_note", "address"),
                        name="billing_mail_once_a_credit_note",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("credit_note__isnull", True), ("invoice__isnull", False)),
                            models.Q(("credit_note__isnull", False), ("invoice__isnull", True)),
                            _connector="OR",
                        ),
                        name="billing_mail_of_one_document",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    "waiting",
                                    "sending",
                                    "sent",
                                    "delivered",
                                    "bounced",
                                    "uncertain",
                                    "failed",
                                ],
                            )
                        ),
                        name="billing_mail_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["sent", "delivered"]), _negated=True),
                            ("sent_at__isnull", False),
                            _connector="OR",
                        ),
                        name="billing_mail_sent_once_known",
                    ),
                ],
            },
        ),
        _key("invoice_id", "billing_invoice"),
        _key("credit_note_id", "billing_creditnote"),
        migrations.RunSQL(_GUARD, _UNDO_GUARD),
    ]
