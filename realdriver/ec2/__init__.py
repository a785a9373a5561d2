"""The Driver protocol on Amazon EC2: instances are launched, their agents join a control plane.

That is Amazon ECS, or `stowplan serve --driver agents`; both are called by ECS's API.
"""
