"""What the tests of AWS share."""

from __future__ import annotations

import pytest

from stowplan.realdriver.aws.clients import Account

PREFIXES = {"elastic-load-balancing-v2": "elasticloadbalancing", "auto-scaling": "autoscaling"}


@pytest.fixture
def recorded(monkeypatch):
    """The actions of all calls that are made from now on, as policies name them."""
    actions: set[str] = set()
    make = Account._make

    def made(self, service, once):
        client = make(self, service, once)

        def record(model, **_):
            prefix = model.service_model.service_id.hyphenize()
            actions.add(f"{PREFIXES.get(prefix, prefix)}:{model.name}")

        client.meta.events.register("before-call", record)
        return client

    monkeypatch.setattr(Account, "_make", made)
    return actions
