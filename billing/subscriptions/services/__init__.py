"""Starting subscriptions."""

from billing.subscriptions.services.subscribe import (
    NewSubscription,
    subscribe,
    subscribe_imported,
    subscribe_many,
)

__all__ = ["NewSubscription", "subscribe", "subscribe_imported", "subscribe_many"]
