"""All that only several hosts need: PostgreSQL, shared limits, chunks of runs, queue, workers."""
