"""The outside world of payments, behind plain values. Only `stripe.py` imports the `stripe` package."""
