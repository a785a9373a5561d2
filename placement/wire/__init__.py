"""ECS's wire format: requests in, responses out, ids of objects. Sans-IO, without a socket.

It translates. What a call does is in the scheduler, and what is answered in the describe layer.
"""
