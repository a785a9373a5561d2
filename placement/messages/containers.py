"""What an agent says of the containers of a task: parts of its reports."""

from __future__ import annotations

import msgspec


class Binding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A container port and where it is to be had on the instance."""

    container_port: int
    host_port: int
    protocol: str = "tcp"
    bind_ip: str = "0.0.0.0"


class ContainerReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """A container as its agent reports it; what is not told is "" or None.

    `status` is ECS's word: PENDING, RUNNING, STOPPED. `reason`: why it did not come up, or ended.
    """

    name: str
    status: str = ""
    exit_code: int | None = None
    reason: str = ""
    runtime_id: str = ""
    image_digest: str = ""
    bindings: tuple[Binding, ...] = ()

    def after(self, earlier: ContainerReport | None) -> ContainerReport:
        """This report, with what only the earlier one told of the same container."""
        if earlier is None:
            return self
        told = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(self, name)) not in ("", None, ())
        }
        return msgspec.structs.replace(earlier, **told)
