"""An agent of our own: it joins a control plane of ECS's by the protocol of ECS's agent.

`member.Member` plays the protocol; what becomes of tasks is its body's business: containers on a
Docker engine (`engine_body`), or nothing but time (`played`).
"""
