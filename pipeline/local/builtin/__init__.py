"""SageMaker's built-in algorithms as images of ours: nothing is pulled from AWS's registry."""

from pipeline.local.builtin.images import NotCarried, folder_of, is_aws, repository_arn, resolved

__all__ = ["NotCarried", "folder_of", "is_aws", "repository_arn", "resolved"]
