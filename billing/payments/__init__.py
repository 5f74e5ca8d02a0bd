"""Payments: card through Stripe, bank transfer by finance; what came in, and what it settled.

Start reading at `services/begin_card_payment.py` and `services/settle_card_payment.py`; what a
payment attempt may become and how money is posted is in `domain.py`. Only `gateways/` knows Stripe.
"""
