"""Making certificates."""

from billing.certificates.services.certify_day import Certified, certify_day, certify_recent_days

__all__ = ["Certified", "certify_day", "certify_recent_days"]
