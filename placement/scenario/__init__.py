"""The scenario file's tables, what they mean, and what is wrong with them.

Of `placement`, pydantic is imported here alone. It reads no file: `experiments.loading` does.
"""
