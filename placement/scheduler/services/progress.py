"""What becomes of deployments as time goes on: they begin, come further, and fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stowplan.placement import messages as m
from stowplan.placement.errors import CallError
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.scheduler.services.breaker import (
    before,
    break_circuit,
    fail,
    stop_deployment,
)
from stowplan.placement.scheduler.services.deployments import Deployment, Service
from stowplan.placement.scheduler.services.events import ServiceEvents
from stowplan.placement.scheduler.services.shifting import rollout_of
from stowplan.placement.scheduler.services.success import triggered
from stowplan.placement.scheduler.tasks import Launch


class Progress:
    """Begins deployments, brings them further, and ends those that have failed.

    `in_alarm`: the CloudWatch alarms that are in ALARM. Args:
        services: all of them, by name.
        deploy: makes a deployment.
        touched: takes the names of services to look at again.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        launches: Launches,
        events: ServiceEvents,
        deploy: Callable[[Launch], Deployment],
        touched: set[str],
    ) -> None:
        self._services, self._launches, self._events = services, launches, events
        self._deploy, self._touched = deploy, touched
        self.in_alarm: dict[str, None] = {}

    def begin(self, service: Service, launch: Launch, now_ms: int) -> None:
        """A new deployment is PRIMARY.

        One that goes on and shifts traffic ends. All traffic goes back to what it replaced, unless
        it has come to the new tasks by now: then these are what is replaced next.
        """
        begun, last = self._deploy(launch), service.rollout
        source = next((d for d in service.deployments if d.launch is service.completed), None)
        if last is not None and not last.has_traffic:
            source = next((d for d in service.deployments if d.id == last.source), source)
            last.give_back()
            self._events.progress(last)
        elif last is not None:
            source = service.primary
        source = source or service.primary
        begun.ignored = set(self.in_alarm)
        if service.completed is not None or not service.running.keys().isdisjoint(source.tasks):
            begun.rollout = rollout_of(service.call, begun.id, source.id, now_ms)
            service.extra = None if begun.rollout else service.extra
        service.deployments.insert(0, begun)
        self._events.progress(begun.rollout)

    def check(self, service: Service, now_ms: int) -> None:
        """Bring the PRIMARY deployment as far as it can come by now; it may have failed."""
        break_circuit(service, self._deploy, self._launches, self._events)
        if (alarms := service.call.alarms) and triggered(service, self.in_alarm):
            back = service.completed if alarms.rollback else None
            self._fail(service, "alarm detected", back)
        if service.rollout is not None and (why := self.advance(service, now_ms)):
            self._fail(service, why, before(service))

    def advance(self, service: Service, now_ms: int) -> str:
        """Let a deployment that shifts traffic come further; returns why it has failed, or ""."""
        rollout, primary = service.rollout, service.primary
        if rollout is None:
            return ""
        known = (primary.id, rollout.source)
        others = any(each.tasks for each in service.deployments if each.id not in known)
        stays = service.stay_count(primary)
        healthy = stays == service.desired_count == service.healthy_count(primary)
        why = rollout.advance(now_ms, reconciled=not others, healthy=healthy)
        self._events.progress(rollout)
        return why

    def _fail(self, service: Service, why: str, back: Launch | None) -> None:
        back = None if back is service.launch else back
        fail(service, why, back, self._deploy, self._launches, self._events)
        service.primary.ignored = set(self.in_alarm)  # a rollback is not ended by what began it

    def prune(self, service: Service) -> None:
        """Forget deployments that have no tasks, and that nothing goes back to."""
        rollout = service.rollout
        kept = "" if rollout is None else rollout.source
        rest = [each for each in service.deployments[1:] if each.tasks or each.id == kept]
        service.deployments[1:] = rest

    def renew(self, service: Service) -> None:
        """Further tasks of what is being replaced are started as the service is configured now."""
        source = service.source
        if source is None:
            return
        call = m.UpdateService(service.name, task_definition=source.launch.task_definition)
        completed = service.completed is source.launch
        launch = self._launches.of_service(call.applied_to(service.call))
        source.launch = launch.of_deployment(source.id)
        service.completed = source.launch if completed else service.completed

    def stop(self, service: Service, call: m.StopServiceDeployment) -> None:
        """End a deployment. Raises CallError where ECS would not."""
        stop_deployment(service, call, self._deploy, self._launches, self._events)
        service.primary.ignored = set(self.in_alarm)
        self._touched.add(service.name)

    def go_on(self, service: Service, call: m.ContinueServiceDeployment) -> None:
        """End a PAUSE. Raises CallError where none awaits it."""
        rollout = service.rollout
        if rollout is None or rollout.deployment != call.deployment:
            what = f"{call.deployment} awaits no action"
            raise CallError("InvalidParameterException", what)
        rollout.go_on(call)
        self._events.progress(rollout)
        self._touched.add(service.name)

    def alarmed(self, event: m.AlarmsChanged) -> None:
        """Alarms are in ALARM now, or no longer."""
        for name in event.names:
            if event.in_alarm:
                self.in_alarm[name] = None
                continue
            self.in_alarm.pop(name, None)
            for service in self._services.values():
                service.primary.ignored.discard(name)
        for service in self._services.values():
            alarms = service.call.alarms
            if alarms is not None and not set(alarms.names).isdisjoint(event.names):
                self._touched.add(service.name)
