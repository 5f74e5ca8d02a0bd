"""What a plan would cost: curves, typical and real tenants, a month that was, a change before it is made.

Everything is rated by `billing.rating`; nothing here knows a price of its own. Stores nothing.
"""
