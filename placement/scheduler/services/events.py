"""What services say: the lines of their event lists (ecs-semantics 5)."""

from __future__ import annotations

from collections.abc import Callable

from stowplan.placement import messages as m
from stowplan.placement.reasons import Failure
from stowplan.placement.scheduler.services.deployments import (
    IMPAIRED_ATTEMPTS,
    Deployment,
    Service,
)
from stowplan.placement.scheduler.services.shifting import Rollout
from stowplan.placement.scheduler.services.success import is_successful

# Part of the event of a service whose circuit breaker has ended a deployment.
DEPLOYMENT_FAILED = "deployment failed"


class ServiceEvents:
    """Tells what changed in a service since it last told. `say` takes the notices."""

    def __init__(self, say: Callable[[m.Command], None]) -> None:
        self._say = say

    def report(self, service: Service, failure: Failure | None, now_ms: int) -> None:
        """After a service was settled; `failure`: why a task could not be placed."""
        self.complain(service, failure)
        if service.not_before_ms > now_ms and service.attempts == IMPAIRED_ATTEMPTS:
            self.tell(service, "is unable to consistently start tasks successfully.")
        over = service.staying_count > service.desired_count and bool(service.protected)
        if over and not service.held:
            self.tell(service, "was unable to scale in because tasks are protected.")
        service.held = over
        stuck = service.is_replacing and service.floor >= service.desired_count >= service.ceiling
        if stuck and not service.stuck and len(service.tasks) >= service.ceiling:
            self.tell(
                service,
                "was unable to stop or start tasks during a deployment because of the service "
                "deployment configuration.",
            )
        service.stuck = stuck
        self.note_state(service, now_ms)

    def note_state(self, service: Service, now_ms: int) -> None:
        """Take note of a service that is complete, or no longer."""
        complete = service.is_complete
        going = service.primary.rollout_state == "IN_PROGRESS"
        if going and is_successful(service, complete=complete, now_ms=now_ms):
            service.primary.rollout_state = "COMPLETED"
            service.completed = service.launch
            self.tell(service, f"(deployment {service.primary.id}) deployment completed.")
        if complete and not service.steady:
            self.tell(service, "has reached a steady state.")
        service.steady = complete

    def complain(self, service: Service, failure: Failure | None) -> None:
        """Say why a task could not be placed, unless that was said last."""
        complaint = failure.reason if failure else ""
        if failure and complaint != service.complaint:
            text = "was unable to place a task because no container instance met all of its "
            self.tell(service, text + "requirements.", failure)
        service.complaint = complaint

    def progress(self, rollout: Rollout | None) -> None:
        """Tell how far a deployment is that shifts traffic."""
        if rollout is not None:
            for notice in rollout.notices:
                self._say(notice)
            rollout.notices.clear()

    def tell(self, service: Service, text: str, failure: Failure | None = None) -> None:
        """Add a line to the service's events."""
        self._say(m.ServiceEvent(service.name, f"(service {service.name}) {text}", failure))


def scaling(service: Service, deployment: Deployment | None = None) -> str:
    """Why the service scheduler stops a task; by default on behalf of the PRIMARY deployment."""
    return f"Scaling activity initiated by (deployment {(deployment or service.primary).id})"


def rebalancing(service: Service) -> str:
    """Why it stops one to balance the zones."""
    return f"Availability-zone rebalancing initiated by (deployment {service.primary.id})"
