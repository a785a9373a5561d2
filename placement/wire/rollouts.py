"""`deploymentConfiguration` of services: how deployments go on, read and shown."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from stowplan.placement import messages as m
from stowplan.placement.wire.calls import Params
from stowplan.placement.wire.errors import invalid
from stowplan.placement.wire.world import Document

MINUTE_MS = 60_000
# Of `hookDetails`: what a Lambda function would do, which nobody calls here.
_PLAYED = "stowplan"


def rollout_fields(deployment: Params, before: m.CreateService | None) -> dict[str, Any]:
    """The fields of CreateService and UpdateService that say how deployments go on.

    Args:
        deployment: `deploymentConfiguration`.
        before: how the service is configured now; None: it is created.

    Raises:
        WireError: a share of traffic, or a hook, that ECS does not take.
    """
    found: dict[str, Any] = {}
    shift = _shift(deployment, None if before is None else before.shift)
    if shift is not None:
        wrong = [f"{name} {what}" for name, what in shift.problems()]
        if wrong:
            raise invalid(f"deploymentConfiguration: {'; '.join(wrong)}.")
        found["shift"] = shift
    alarms = deployment.get("alarms", {})
    if alarms.get("enable"):
        names = tuple(alarms["alarmNames"])
        found["alarms"] = m.DeploymentAlarms(names, alarms.get("rollback", False))
    elif alarms and before is not None and before.alarms is not None:
        found["alarms"] = m.DeploymentAlarms(())
    early = deployment.get("earlySuccessCriteria", {})
    if early.get("enable"):
        if "healthyPercent" not in early or "sourceServiceRevisionCleanup" not in early:
            raise invalid("earlySuccessCriteria needs healthyPercent and its cleanup.")
        cleanup = early["sourceServiceRevisionCleanup"]
        found["early_success"] = m.EarlySuccess(early["healthyPercent"], cleanup)
    return found


def with_service_connect(call: Any, params: Params) -> Any:
    """A call whose traffic is shifted by Service Connect, where that is enabled."""
    if call.shift is None or not params.get("serviceConnectConfiguration", {}).get("enabled"):
        return call
    return replace(call, shift=replace(call.shift, service_connect=True))


def _shift(deployment: Params, before: m.TrafficShift | None) -> m.TrafficShift | None:
    linear = deployment.get("linearConfiguration", {})
    canary = deployment.get("canaryConfiguration", {})
    given: dict[str, Any] = {}
    if "strategy" in deployment:
        given["strategy"] = deployment["strategy"]
    elif before is None:
        return None
    if "bakeTimeInMinutes" in deployment:
        given["bake_ms"] = deployment["bakeTimeInMinutes"] * MINUTE_MS
    if "stepPercent" in linear:
        given["step_permille"] = _permille(linear["stepPercent"])
    if "stepBakeTimeInMinutes" in linear:
        given["step_bake_ms"] = linear["stepBakeTimeInMinutes"] * MINUTE_MS
    if "canaryPercent" in canary:
        given["canary_permille"] = _permille(canary["canaryPercent"])
    if "canaryBakeTimeInMinutes" in canary:
        given["canary_bake_ms"] = canary["canaryBakeTimeInMinutes"] * MINUTE_MS
    if "lifecycleHooks" in deployment:
        given["hooks"] = tuple(_hook(each) for each in deployment["lifecycleHooks"])
    if before is None and given.get("strategy") == "ROLLING":
        return None
    return replace(before or m.TrafficShift(), **given) if given else None


def _permille(percent: float) -> int:
    tenths = round(percent * 10)
    if abs(tenths - percent * 10) > 1e-6:
        raise invalid(f"{percent} per cent is not a multiple of 0.1.")
    return tenths


def _hook(hook: Params) -> m.LifecycleHook:
    target, timeout = hook.get("targetType", "AWS_LAMBDA"), hook.get("timeoutConfiguration", {})
    if target == "AWS_LAMBDA" and "hookTargetArn" not in hook:
        raise invalid("A lifecycle hook of AWS_LAMBDA needs a hookTargetArn.")
    details = hook.get("hookDetails")
    played = details.get(_PLAYED, {}) if isinstance(details, dict) else {}
    made = m.LifecycleHook(
        tuple(hook.get("lifecycleStages", ())),
        target,
        int(1000 * played.get("takesSeconds", 0)),
        bool(played.get("fails", False)),
        arn=hook.get("hookTargetArn", ""),
    )
    if "timeoutInMinutes" in timeout:
        made = replace(made, timeout_ms=timeout["timeoutInMinutes"] * MINUTE_MS)
    return replace(made, timeout_action=timeout.get("action", "ROLLBACK"))


# --- shown ---------------------------------------------------------------------------------------


def show_configuration(call: m.CreateService) -> Document:
    """`deploymentConfiguration`."""
    breaker, shift, alarms = call.circuit_breaker, call.shift, call.alarms
    shown: Document = {
        "deploymentCircuitBreaker": {
            "enable": breaker is not None,
            "rollback": breaker is not None and breaker.rollback,
        },
        "maximumPercent": call.maximum_percent,
        "minimumHealthyPercent": call.minimum_healthy_percent,
        "strategy": "ROLLING" if shift is None else shift.strategy,
    }
    if alarms is not None and alarms.names:
        names = list(alarms.names)
        shown["alarms"] = {"alarmNames": names, "enable": True, "rollback": alarms.rollback}
    if (early := call.early_success) is not None:
        shown["earlySuccessCriteria"] = {
            "enable": True,
            "healthyPercent": early.healthy_percent,
            "sourceServiceRevisionCleanup": early.cleanup,
        }
    return shown | ({} if shift is None or not call.shifts else _show_shift(shift))


def _show_shift(shift: m.TrafficShift) -> Document:
    shown: Document = {
        "bakeTimeInMinutes": shift.bake_ms // MINUTE_MS,
        "lifecycleHooks": [_show_hook(hook) for hook in shift.hooks],
    }
    if shift.strategy == "LINEAR":
        shown["linearConfiguration"] = {
            "stepPercent": shift.step_permille / 10,
            "stepBakeTimeInMinutes": shift.step_bake_ms // MINUTE_MS,
        }
    elif shift.strategy == "CANARY":
        shown["canaryConfiguration"] = {
            "canaryPercent": shift.canary_permille / 10,
            "canaryBakeTimeInMinutes": shift.canary_bake_ms // MINUTE_MS,
        }
    return shown


def _show_hook(hook: m.LifecycleHook) -> Document:
    timeout = {"timeoutInMinutes": hook.timeout_ms // MINUTE_MS, "action": hook.timeout_action}
    shown: Document = {
        "targetType": hook.target,
        "lifecycleStages": list(hook.stages),
        "timeoutConfiguration": timeout,
    }
    return shown | ({"hookTargetArn": hook.arn} if hook.arn else {})
