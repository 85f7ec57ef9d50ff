"""SageMaker's script mode in any image: `train` is a plain script with arguments and SM_* variables.

    #!/usr/bin/env python3
    import sys
    from script_mode import main
    sys.exit(main("training"))

`training.py` beside it is a script as SageMaker's own framework containers call one: hyperparameters come as
`--name value`, folders as SM_MODEL_DIR, SM_CHANNEL_TRAIN and the like. It runs unchanged under those
containers, and by hand. What it raises becomes the job's FailureReason.
"""

from __future__ import annotations

from .arguments import Arguments
from .environment import Folders, available_processors, threads
from .launch import main
from .outcome import ProgramError, StopFlag, Stopped, run_program, write_atomically

__all__ = [
    "Arguments",
    "Folders",
    "ProgramError",
    "StopFlag",
    "Stopped",
    "available_processors",
    "main",
    "run_program",
    "threads",
    "write_atomically",
]
