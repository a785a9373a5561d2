"""Amazon's side of real runs: clients made in one place, and errors in words that help.

Only this room imports boto3. What it gives is an `Account`: calls and pages, by service and
operation.
"""
