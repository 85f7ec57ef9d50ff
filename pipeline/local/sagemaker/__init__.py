"""Amazon SageMaker, run for real on this machine: one module a resource, behind one dispatch (service.py)."""
