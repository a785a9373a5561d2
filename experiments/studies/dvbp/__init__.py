"""Dynamic vector bin packing: the policies of arXiv 2602.14704 (Lee and Tang, 2026), and ours.

VMs come and go, a server costs for as long as it holds one, and the measure is machine-days.
`trace` → `predictions` → `moments` → a policy → `measure`. The published policies are in `fits`,
`turns`, `ends`, `classes` and `categories`, ours in `ours`; `on_engine` runs stowplan's own chains,
and books on the engine what kernels chose.
"""
