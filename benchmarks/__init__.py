"""The race of CPU softmaxes: speed, accuracy, memory and start-up, and its report.

``python -m benchmarks`` from the root of the repository; ``docs/benchmarks.md`` tells how to
measure and how to add a contender.
"""
