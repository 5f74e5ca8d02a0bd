"""What the tests of fapiao stand on: a real stand-in of the tax platform, and a taxed invoice of a tenant
with a buyer."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings

from billing.catalog.examples import tax_rates
from billing.fapiao.domain.content import FapiaoProduct, FapiaoTitle
from billing.fapiao.services.set_buyer import set_fapiao_buyer
from billing.fapiao.services.set_product import set_fapiao_product
from billing.invoicing.models import Invoice
from billing.invoicing.services.describe_seller import describe_seller
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.taxes.services import load_taxes
from kernel import clock
from tenants.domain import TaxTreatment
from tenants.scope import system_scope, tenant_scope
from tenants.services.set_tax import TaxStanding, set_tax
from tests.factories import a_plan, a_subscription, a_tenant

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TITLE = FapiaoTitle(name="杭州清禾科技有限公司", tax_id="91350100M000100Y43")
CHAT = FapiaoProduct(name="*信息技术服务*即时通讯服务费", code="3040203000000000000", unit="项")


@dataclass(frozen=True)
class StandIn:
    """A running stand-in of the platform."""

    address: str

    def told(self, **config: Any) -> dict[str, int]:
        """Configure it; gives how many calls and requests it has had."""
        answer = requests.post(f"{self.address}/_config", json=config, timeout=5)
        assert answer.status_code == 200
        return answer.json()  # type: ignore[no-any-return]  # two numbers


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    state = tmp_path_factory.mktemp("platform") / "requests.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "config.embedded.tax_platform_server"),
            *(f"--port={port}", f"--state={state}", "--delay=0"),
        ],
        cwd=Path(__file__).resolve().parents[2],
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
        yield StandIn(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def platform(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setattr(settings, "FAPIAO_API_BASE", stand_in.address)
    stand_in.told(lose=0, fail=0, refuse="", delay=0)
    return stand_in


@pytest.fixture
def invoice(db: None) -> Invoice:
    """An open invoice of 199.00 and 11.94 tax at 6 %, of a tenant with a buyer."""
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    with system_scope(purpose="test"):
        load_taxes(document=tax_rates(), now=NOW, actor="test")
        describe_seller(
            changes={
                "country": "CN",
                "tax_category": "software_service",
                "name": "即讯云（北京）科技有限公司",
                "tax_id": "91350100M000100Y43",
            },
            now=NOW,
            actor="test",
        )
        set_tax(
            tenant_key=tenant.key,
            standing=TaxStanding(treatment=TaxTreatment.TAXABLE),
            now=NOW,
            actor="test",
        )
        set_fapiao_product(category="", product=CHAT, now=NOW, actor="test")
        run_id = create_run(
            at=datetime.fromisoformat("2026-03-01T00:00:00+08:00"),
            finalize=True,
            requested_by="test",
            now=clock.now(),
        )
    execute_run(run_id=run_id, clock=clock.now)
    with tenant_scope(tenant.id):
        set_fapiao_buyer(tenant_id=tenant.id, title=TITLE, now=NOW, actor="user:1")
        return Invoice.objects.get()
