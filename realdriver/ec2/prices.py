"""What instances cost: by AWS's Pricing API and the history of spot prices, where these answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from stowplan.placement.driver import DriverError
from stowplan.realdriver.aws.clients import Account

_FILTERS = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}


def on_demand(account: Account, types: Iterable[str]) -> dict[str, int]:
    """Millionths of a dollar an hour by type, of Linux on shared hardware in the account's region.

    Raises:
        DriverError: there is no right to ask, or no answer, or it lacks a type.
    """
    return {kind: _on_demand(account, kind) for kind in types}


def _on_demand(account: Account, kind: str) -> int:
    wanted = {**_FILTERS, "instanceType": kind, "regionCode": account.region}
    filters = [
        {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()
    ]
    answer = account.call(
        "pricing", "GetProducts", once=True, ServiceCode="AmazonEC2", Filters=filters, MaxResults=10
    )
    prices = [price for text in answer.get("PriceList", ()) for price in _hourly(json.loads(text))]
    if not prices:
        raise DriverError(f"the Pricing API has no price of {kind} in {account.region}")
    return round(max(prices) * 1e6)


def _hourly(product: Mapping[str, Any]) -> Iterable[float]:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for each in term["priceDimensions"].values():
            if each.get("unit") == "Hrs":
                yield float(each["pricePerUnit"]["USD"])


def spot(account: Account, types: Iterable[str]) -> dict[str, int]:
    """The same of spot: the dearest zone's price of now.

    Raises:
        DriverError: there is no answer, or it lacks a type.
    """
    wanted = list(types)
    pages = account.pages(
        "ec2",
        "DescribeSpotPriceHistory",
        "SpotPriceHistory",
        InstanceTypes=wanted,
        ProductDescriptions=["Linux/UNIX"],
        StartTime=datetime.now(UTC),
    )
    found: dict[str, float] = {}
    for each in pages:
        kind = each["InstanceType"]
        found[kind] = max(found.get(kind, 0.0), float(each["SpotPrice"]))
    if lacking := [kind for kind in wanted if kind not in found]:
        raise DriverError(f"no spot price of {', '.join(lacking)} in {account.region}")
    return {kind: round(price * 1e6) for kind, price in found.items()}
