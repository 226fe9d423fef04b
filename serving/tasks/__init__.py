"""Tasks: a table that is the truth, Celery messages that wake a worker, and workers that survive neither badly.

::

    POST ──▶ row (PENDING) ──▶ message ──▶ worker claims the row: attempt + 1, a lease
                                              │  a child process runs the job; the worker renews the lease
                                              ▼
             row (SUCCESS, result)  ◀── files published, if the row is still in that attempt
             reaper: a lease that ran out ──▶ RETRY, message again ──▶ ... ──▶ FAILURE
"""
