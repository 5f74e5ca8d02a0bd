"""What is done with coupons."""

from billing.discounts.services.create_coupons import create_coupons
from billing.discounts.services.retire_coupon import retire_coupon

__all__ = ["create_coupons", "retire_coupon"]
