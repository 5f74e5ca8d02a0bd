"""A tenant may hold several subscriptions at once, but nothing is priced by two of them.

What was one unique key (one that serves a tenant) is a deferred trigger: when a transaction commits that
started or changed a subscription, no other one of the tenant holds the same plan, or prices the same
meter, at the same time. The tenant's row is locked first, so that of two transactions the later one sees
what the other did. Nothing is read for a tenant that has one subscription.
"""

from typing import ClassVar

from django.db import migrations

_ONCE = """
CREATE FUNCTION billing_require_priced_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    checked uuid := (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
    other uuid;
BEGIN
    PERFORM 1 FROM tenants_tenant WHERE id = NEW.tenant_id FOR NO KEY UPDATE;
    PERFORM 1 FROM billing_subscription WHERE tenant_id = NEW.tenant_id AND id <> checked LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    WITH held AS (
        SELECT s.id, v.plan_id, span.from_at, coalesce(span.to_at, 'infinity') AS to_at,
               ARRAY(SELECT jsonb_path_query(v.document, '$.prices[*].meter') #>> '{}'
                      UNION
                     SELECT o.document ->> 'meter' FROM billing_subscriptionprice o
                      WHERE o.tenant_id = s.tenant_id AND o.subscription_id = s.id
                        AND o.plan_id = v.plan_id AND o.document ? 'meter') AS meters
          FROM billing_subscription s
         CROSS JOIN LATERAL (
               SELECT plan_version_id,
                      CASE WHEN row_number() OVER days = 1 THEN s.starts_at
                           ELSE starts_on::timestamp AT TIME ZONE s.timezone END AS from_at,
                      least(s.ends_at, (lead(starts_on) OVER days)::timestamp
                                       AT TIME ZONE s.timezone) AS to_at
                 FROM (SELECT p.starts_on, p.plan_version_id FROM billing_subscriptionphase p
                        WHERE p.tenant_id = s.tenant_id AND p.subscription_id = s.id
                        UNION ALL
                       SELECT s.starts_on, s.plan_version_id
                        WHERE NOT EXISTS (SELECT 1 FROM billing_subscriptionphase p
                                           WHERE p.tenant_id = s.tenant_id
                                             AND p.subscription_id = s.id)) AS phases
               WINDOW days AS (ORDER BY starts_on)) AS span
          JOIN billing_planversion v ON v.id = span.plan_version_id
         WHERE s.tenant_id = NEW.tenant_id AND (span.to_at IS NULL OR span.to_at > span.from_at)
    )
    SELECT theirs.id INTO other
      FROM held mine JOIN held theirs ON theirs.id <> mine.id
     WHERE mine.id = checked AND mine.from_at < theirs.to_at AND theirs.from_at < mine.to_at
       AND (mine.plan_id = theirs.plan_id OR mine.meters && theirs.meters)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'subscription % prices what subscription % prices', checked, other
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'billing_subscription_priced_once';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_subscription_priced_once_new AFTER INSERT ON billing_subscription
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION billing_require_priced_once('id');
CREATE CONSTRAINT TRIGGER billing_subscription_priced_once_moved AFTER UPDATE ON billing_subscription
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.plan_version_id <> OLD.plan_version_id OR NEW.starts_at < OLD.starts_at
          OR coalesce(NEW.ends_at, 'infinity') > coalesce(OLD.ends_at, 'infinity'))
    EXECUTE FUNCTION billing_require_priced_once('id');
CREATE CONSTRAINT TRIGGER billing_subscriptionphase_priced_once
    AFTER INSERT OR UPDATE ON billing_subscriptionphase
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION billing_require_priced_once('subscription_id');
CREATE CONSTRAINT TRIGGER billing_subscriptionprice_priced_once
    AFTER INSERT ON billing_subscriptionprice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION billing_require_priced_once('subscription_id');
"""
_UNDO_ONCE = "DROP FUNCTION billing_require_priced_once() CASCADE;"


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("billing", "0024_issuer_as_it_stood"),
        ("tenants", "0004_taxes"),
    ]

    operations: ClassVar = [
        migrations.RunSQL(_ONCE, _UNDO_ONCE),
        migrations.RemoveConstraint(
            model_name="subscription", name="billing_subscription_one_active"
        ),
    ]
