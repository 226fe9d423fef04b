"""What the process that children are forked from imports: all that a job needs, so that a child imports nothing."""

import serving.tasks.child  # noqa: F401
