"""The Docker driver: instances are engines, tasks are containers on them."""
