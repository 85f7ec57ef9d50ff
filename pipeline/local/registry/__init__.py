"""The local ECR's registry: what docker pushes to and pulls from, in front of a real registry process."""
