"""One decision: which instances a task may run on, which of them it gets, and the booking.

It knows no service, no deployment and no time; those are the scheduler's.
"""
