"""A transaction is posted whole, in one statement: what was posted gets no more entries, though they balance."""

from django.db import migrations

POSTED_WHOLE = """
CREATE OR REPLACE FUNCTION billing_require_balance_of_new() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT e.transaction_id INTO wrong
      FROM (SELECT DISTINCT transaction_id FROM added) AS t
      JOIN billing_journalentry e USING (transaction_id)
     GROUP BY e.transaction_id, e.currency HAVING sum(e.amount_minor) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % does not balance', wrong
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    SELECT t.transaction_id INTO wrong
      FROM (SELECT transaction_id, count(*) AS entries FROM added GROUP BY transaction_id) AS t
      JOIN billing_journalentry e USING (transaction_id)
     GROUP BY t.transaction_id, t.entries HAVING count(*) <> t.entries LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal transaction % was posted already', wrong
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0027_document_mail")]

    operations = [migrations.RunSQL(POSTED_WHOLE, migrations.RunSQL.noop)]
