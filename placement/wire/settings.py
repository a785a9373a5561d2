"""Account settings: kept for who asks; what they turn on in ECS changes no placement here."""

from __future__ import annotations

from stowplan.placement.wire.calls import Params
from stowplan.placement.wire.errors import invalid
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.world import Document, Host

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


def put_account_setting(host: Host, params: Params) -> Document:
    """PutAccountSetting and PutAccountSettingDefault."""
    if params["name"] not in DEFAULTS:
        raise invalid(f"Invalid setting name: {params['name']}")
    host.settings[params["name"]] = params["value"]
    return {"setting": _shown(host, params["name"], params["value"])}


def delete_account_setting(host: Host, params: Params) -> Document:
    """DeleteAccountSetting: the default again."""
    host.settings.pop(params["name"], None)
    return {"setting": _shown(host, params["name"], DEFAULTS.get(params["name"], ""))}


def list_account_settings(host: Host, params: Params) -> Document:
    """ListAccountSettings; `effectiveSettings` lists the defaults as well."""
    held = dict(host.settings)
    if params.get("effectiveSettings"):
        held = DEFAULTS | held
    name, value = params.get("name"), params.get("value")
    names = sorted(e for e, is_now in held.items() if name in (None, e) and value in (None, is_now))
    shown, token = page(names, {"maxResults": 10, **params}, "ListAccountSettings")
    answer: Document = {"settings": [_shown(host, each, held[each]) for each in shown]}
    return answer if token is None else answer | {"nextToken": token}
