"""Typed, validated desired state: `pipeline.toml` and one `settings.toml` a pipeline."""
