"""The `stowplan` command, a subcommand a file: arguments, and what is printed.

Work that a script could want, too, belongs to the rooms below.
"""
