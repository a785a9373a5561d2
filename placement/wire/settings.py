"""Account settings: kept for who asks; what they turn on in ECS changes no placement here."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.wire.calls import Params, taken
from stowplan.placement.wire.errors import invalid
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.world import SETTINGS, Ask, Document, Host, Steps

# Names and values as AWS has them for a new account (Developer Guide, "Account settings").
DEFAULTS = {
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "containerInstanceLongArnFormat": "enabled",
    "defaultLogDriverMode": "non-blocking",
    "fargateFIPSMode": "disabled",
    "fargateTaskRetirementWaitPeriod": "7",
    "guardDutyActivate": "off",
    "serviceLongArnFormat": "enabled",
    "tagResourceAuthorization": "on",
    "taskLongArnFormat": "enabled",
}


def _principal(host: Host) -> str:
    return f"arn:aws:iam::{host.account.account}:root"


def _shown(host: Host, name: str, value: str) -> Document:
    return {"name": name, "value": value, "principalArn": _principal(host), "type": "user"}


def put_account_setting(host: Host, params: Params) -> Steps:
    """PutAccountSetting and PutAccountSettingDefault."""
    name, value = params["name"], params["value"]
    if name not in DEFAULTS:
        raise invalid(f"Invalid setting name: {name}")
    taken((yield [Ask(host.registry, m.Keep(SETTINGS, name, value))]))
    return {"setting": _shown(host, name, value)}


def delete_account_setting(host: Host, params: Params) -> Steps:
    """DeleteAccountSetting: the default again."""
    taken((yield [Ask(host.registry, m.Keep(SETTINGS, params["name"], None))]))
    return {"setting": _shown(host, params["name"], DEFAULTS.get(params["name"], ""))}


def list_account_settings(host: Host, params: Params) -> Document:
    """ListAccountSettings; `effectiveSettings` lists the defaults as well."""
    held = dict(host.registry.settings)
    if params.get("effectiveSettings"):
        held = DEFAULTS | held
    name, value = params.get("name"), params.get("value")
    names = sorted(e for e, is_now in held.items() if name in (None, e) and value in (None, is_now))
    shown, token = page(names, {"maxResults": 10, **params}, "ListAccountSettings")
    answer: Document = {"settings": [_shown(host, each, held[each]) for each in shown]}
    return answer if token is None else answer | {"nextToken": token}
