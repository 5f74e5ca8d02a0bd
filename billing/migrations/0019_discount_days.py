"""A discount tells whether it counts for what its first period bills in advance, and may begin earlier
than it was to: where a trial is ended."""

from typing import ClassVar

from django.db import migrations, models

_FROZEN = """
CREATE OR REPLACE FUNCTION billing_discount_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE'
       OR (to_jsonb(NEW) - '{starts_on,ends_on,ended_by}'::text[])
          IS DISTINCT FROM (to_jsonb(OLD) - '{starts_on,ends_on,ended_by}'::text[])
       OR NEW.starts_on > OLD.starts_on
       OR (NEW.ends_on IS NULL AND OLD.ends_on IS NOT NULL)
       OR (NEW.ends_on IS NULL AND NEW.starts_on = OLD.starts_on)
       OR NEW.ends_on > OLD.ends_on THEN
        RAISE EXCEPTION 'a discount is never changed or removed: end it'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""
_AS_BEFORE = """
CREATE OR REPLACE FUNCTION billing_discount_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE'
       OR (to_jsonb(NEW) - '{ends_on,ended_by}'::text[])
          IS DISTINCT FROM (to_jsonb(OLD) - '{ends_on,ended_by}'::text[])
       OR NEW.ends_on IS NULL OR NEW.ends_on > OLD.ends_on THEN
        RAISE EXCEPTION 'a discount is never changed or removed: end it'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("billing", "0018_credit_note_timing"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="subscriptiondiscount",
            name="is_advance_billed",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RunSQL(_FROZEN, _AS_BEFORE),
    ]
