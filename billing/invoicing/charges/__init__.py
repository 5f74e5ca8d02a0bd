"""Charges: what is billed beside a subscription, by hand or on a date. See ADR 26."""
