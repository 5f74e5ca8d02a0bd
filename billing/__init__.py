"""What it costs, who has paid, what it earns.

Topics, each of which may import the ones before it: `rating` (pure: quantities and terms become
lines), `catalog` (plans and their frozen versions), `calculator` (pure: single questions to the
rating, in JSON), `subscriptions` (who holds which version, and the periods that are due), `ledger`
(double entry), `invoicing` (drafts, final documents), `payments`. May import `metering`, `tenants`, `work`, `kernel`. Start reading at
`rating/pipeline.py`.
"""
