"""The world on SimPy, behind the Driver protocol: instances, task lives, pulls, faults.

It carries out and reports. It must not decide, and it imports nothing of `realdriver`.
"""
