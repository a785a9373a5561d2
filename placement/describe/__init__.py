"""What ECS's describe and list calls would answer: a read model, fed by rounds; it decides nothing.

It knows messages alone, no scheduler, so that it can be had of a journal, of a run that goes on, or
of a snapshot of itself.
"""

from stowplan.placement.describe.reader import Reader
from stowplan.placement.describe.state import (
    CapacityProvider,
    ContainerInstance,
    Deployment,
    Service,
    ServiceLine,
    State,
    StoppedForGood,
    Task,
    TaskDefinitionRecord,
    TokenUse,
    Used,
)

__all__ = [
    "CapacityProvider",
    "ContainerInstance",
    "Deployment",
    "Reader",
    "Service",
    "ServiceLine",
    "State",
    "StoppedForGood",
    "Task",
    "TaskDefinitionRecord",
    "TokenUse",
    "Used",
]
