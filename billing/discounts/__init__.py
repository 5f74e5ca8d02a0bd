"""Discounts: coupons, and what subscriptions hold of them. Start at `domain`."""
