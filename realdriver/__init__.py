"""Real backends behind the Driver protocol, and what every one of them keeps durably.

They carry out and report. They must not decide, and they import nothing of `sim`.
"""
