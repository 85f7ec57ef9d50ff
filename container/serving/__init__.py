"""The serving stack of every image: SageMaker's container contract around a user's `inference.py`.

    #!/usr/bin/env python3
    import sys
    from serving import main
    sys.exit(main())

`inference.py` holds functions with the names of the SageMaker inference toolkit: `model_fn(model_dir)`,
and `input_fn(body, content_type)`, `predict_fn(data, model)`, `output_fn(prediction, accept)`, or in place of
these three `transform_fn(model, body, content_type, accept)`. Each may take the request's context as one
argument more. `metric(name, value)` reports a number of the model's own (metrics.py); `accepted`, `unread`
and `as_text` refuse in the same words in all images what cannot be read or answered (negotiation.py).
"""

from __future__ import annotations

from .errors import LoadError, RequestError
from .metrics import metric
from .negotiation import accepted, as_text, choose, media_type, unread

__all__ = [
    "LoadError",
    "RequestError",
    "accepted",
    "as_text",
    "choose",
    "main",
    "media_type",
    "metric",
    "unread",
]


def main() -> int:
    """Serve until SIGTERM; the exit code. Environment: settings.py."""
    # Imported here: who only wants an exception's name need not load a server.
    from .supervisor import main as supervise

    return supervise()
