"""The `docker` command of a privileged build: the real one where an engine answers, else a small one of ours.

Without an engine nothing can run a Dockerfile. The folder it stands in is made known as the image then, as
`pipeline apply` does it: jobs and endpoints run its programs in an environment of its lock. So a build that
ends well here has checked what a folder alone can show: that the Dockerfile can be read, that what it copies
is there, that the registry takes the image under that tag. That its RUN lines work, only an engine can tell.
"""
