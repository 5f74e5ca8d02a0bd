"""Addresses of metering below /api/v1/."""

from django.urls import URLPattern, path

from metering.api.events import EventsView
from metering.api.meters import MetersView
from metering.api.proof import ProofHashesView, ProofInclusionView, ProofView
from metering.api.rejected import RejectedView
from metering.api.reports import ReportsView
from metering.api.usage import UsageView

urlpatterns: list[URLPattern] = [
    path("events", EventsView.as_view(), name="events"),
    path("events/rejected", RejectedView.as_view(), name="rejected_events"),
    path("reports", ReportsView.as_view(), name="reports"),
    path("usage", UsageView.as_view(), name="usage"),
    path("usage/proof", ProofView.as_view(), name="usage_proof"),
    path("usage/proof/hashes", ProofHashesView.as_view(), name="usage_proof_hashes"),
    path("usage/proof/inclusion", ProofInclusionView.as_view(), name="usage_proof_inclusion"),
    path("meters", MetersView.as_view(), name="meters"),
]
