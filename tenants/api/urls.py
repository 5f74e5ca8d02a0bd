"""Addresses of the tenants' room below /api/v1/."""

from django.urls import URLPattern, path

from tenants.api.resources import AppsView, KeysView, MembersView, RevokeKeyView, TenantView

urlpatterns: list[URLPattern] = [
    path("tenant", TenantView.as_view(), name="tenant"),
    path("apps", AppsView.as_view(), name="apps"),
    path("members", MembersView.as_view(), name="members"),
    path("keys", KeysView.as_view(), name="keys"),
    path("keys/<str:key_id>/revoke", RevokeKeyView.as_view(), name="revoke_key"),
]
