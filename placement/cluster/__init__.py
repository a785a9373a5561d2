"""The one mutable state of placement: instances and what is booked on them, in columns.

It knows bookings and counts, not tasks, and it decides nothing.
"""
