"""A Git repository as the desired state of a machine learning model in production on AWS."""

__version__ = "0.1.0"
