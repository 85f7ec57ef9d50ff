"""CodeBuild on this machine: what a buildspec means."""
