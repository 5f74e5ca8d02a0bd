"""Tables of the tenants' room.

Every table with a ``tenant_id`` gets forced row security from `tenants.row_security`; foreign keys
between such tables carry the tenant on both sides (see the ``0002_guards`` migration), because a
single-column key would accept another tenant's row.
"""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from kernel import clock, ids
from tenants.domain import KeyScope, Role, StaffRole, TaxTreatment, TenantStatus


def _choices(values: Any) -> list[tuple[str, str]]:
    return [(value.value, value.value) for value in values]


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in: one of the operator's staff, a member of tenants, or both.

    `staff_role` is empty for people who are not staff. Django's own permission tables are not
    used: what a role may do is data in `tenants.permissions`.
    """

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    language = models.CharField(max_length=16, default="en")
    staff_role = models.CharField(
        max_length=16, blank=True, default="", choices=[("", ""), *_choices(StaffRole)]
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("email"), name="tenants_user_email_once"),
            models.CheckConstraint(
                condition=Q(staff_role__in=["", *StaffRole]), name="tenants_user_staff_role"
            ),
        ]

    def __str__(self) -> str:
        return f"user {self.pk}"

    @property
    def is_staff_member(self) -> bool:
        """Whether the console is open to this person."""
        return bool(self.staff_role)


class Tenant(models.Model):
    """An organisation that uses the messaging platform and pays for it.

    `timezone` cuts its days and billing periods; usage that is stored was cut by it, so it is set
    once. `tax_treatment` and `tax_percent` are what the tenant's own standing says of taxes; plans and
    prices may say otherwise (`billing.taxes.domain.rules`). With `consolidates_invoices` the documents of
    its subscriptions that fall due at one instant become one invoice. `hash_salt` and the master key, which is not in the database, give the key under which end
    users' ids are hashed; deleting the salt makes the hashes anonymous for good.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    key = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    timezone = models.CharField(max_length=64, default="UTC")
    language = models.CharField(max_length=16, default="en")
    country = models.CharField(max_length=2, blank=True)
    address = models.TextField(blank=True)
    tax_id = models.CharField(max_length=64, blank=True)
    tax_treatment = models.CharField(
        max_length=16, blank=True, default="", db_default="", choices=_choices(TaxTreatment)
    )
    tax_percent = models.DecimalField(max_digits=15, decimal_places=12, null=True)
    consolidates_invoices = models.BooleanField(default=False, db_default=False)
    billing_email = models.EmailField(blank=True)
    status = models.CharField(
        max_length=16, choices=_choices(TenantStatus), default=TenantStatus.ACTIVE
    )
    hash_salt = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=clock.now)

    web_access = "edit"

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(status__in=list(TenantStatus)), name="tenants_tenant_status"
            ),
            models.CheckConstraint(
                condition=Q(tax_treatment__in=list(TaxTreatment))
                & (
                    Q(tax_percent__isnull=True)
                    | Q(tax_percent__gte=0, tax_percent__lte=100)
                    & Q(tax_treatment__in=["", "taxable"])
                ),
                name="tenants_tenant_tax",
            ),
        ]
        indexes: ClassVar = [models.Index(Lower("name"), name="tenants_tenant_name")]

    def __str__(self) -> str:
        return self.key


class App(models.Model):
    """A tenant's application; its key is the subject of usage events and unique over the deployment."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="apps")
    key = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="tenants_app_tenant_id"),
        ]

    def __str__(self) -> str:
        return self.key


class Member(models.Model):
    """A person in a tenant, and what that person may do there."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="members")
    user = models.ForeignKey(User, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=16, choices=_choices(Role))
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "user"], name="tenants_member_once"),
            models.CheckConstraint(condition=Q(role__in=list(Role)), name="tenants_member_role"),
        ]

    def __str__(self) -> str:
        return f"member {self.pk}"


class ApiKey(models.Model):
    """A key by which a program speaks for a tenant. Only the SHA-256 of its secret is kept."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="api_keys")
    public_id = models.CharField(max_length=16, unique=True)
    secret_hash = models.BinaryField(max_length=32)
    label = models.CharField(max_length=100, blank=True)
    scope = models.CharField(max_length=16, choices=_choices(KeyScope))
    allowed_addresses = models.JSONField(default=list)
    created_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(scope__in=list(KeyScope)), name="tenants_api_key_scope"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "-created_at"])]

    def __str__(self) -> str:
        return f"key {self.public_id}"


class AuditRecord(models.Model):
    """One link of a tenant's audit trail; `tenant` null is the deployment's own trail.

    `row_hash` is SHA-256 over the previous hash and the canonical content, so that a changed,
    removed, inserted or swapped row is found by `manage.py verify_audit`. Append-only by privilege
    and trigger.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, null=True, related_name="+")
    sequence = models.BigIntegerField()
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=100)
    target = models.CharField(max_length=200, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)
    previous_hash = models.BinaryField(max_length=32)
    row_hash = models.BinaryField(max_length=32)

    web_access = "append"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "sequence"],
                nulls_distinct=False,
                name="tenants_audit_sequence",
            ),
        ]

    def __str__(self) -> str:
        return f"audit {self.sequence}"


class AccessRecord(models.Model):
    """One opening of the cross-tenant door: who, for what, when. Append-only."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    purpose = models.CharField(max_length=200)
    subject_tenant = models.UUIDField(null=True)

    web_access = "none"
    jobs_access = "append"

    class Meta:
        indexes: ClassVar = [models.Index(fields=["-at"])]

    def __str__(self) -> str:
        return f"access {self.pk}"


class IdempotentRequest(models.Model):
    """The stored answer to an unsafe API call, given again when the call is repeated."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="+")
    endpoint = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    status = models.SmallIntegerField(null=True)
    body = models.BinaryField(null=True)
    content_type = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "endpoint", "key"], name="tenants_idempotent_request_once"
            ),
        ]

    def __str__(self) -> str:
        return f"request {self.pk}"


class SharedMemory(models.Model):
    """What all web processes remember together, such as tries to sign in: rows of Django's database
    cache, whose columns these are. A process's own memory would give each process its own limit."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "tenants_shared_memory"

    def __str__(self) -> str:
        return self.cache_key
