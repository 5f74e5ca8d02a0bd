"""How much: usage events come in, become exact daily usage, and days are closed.

The way of an event, always forward:

1. `ingest` checks it, stores it exactly once and answers after the commit.
2. `rollup` folds it into daily usage: distinct users and counts per tenant, app, meter and day.
3. `days` closes local days; what comes later becomes a dated correction.

Everything else asks `metering.queries.usage`, the one door. Tables here hold tenant and app ids
without foreign keys, because they get distributed by tenant. May import `tenants`, `work`, `kernel`.
"""
