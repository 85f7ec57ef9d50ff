"""Container images by content: the tag from the folder's hash, the digest from the registry."""

from __future__ import annotations

from pipeline.image.context import context_files
from pipeline.image.fingerprint import source_tag, tree_files, tree_hash

__all__ = ["context_files", "source_tag", "tree_files", "tree_hash"]
