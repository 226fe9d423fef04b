"""``python -m serving.cli``."""

from serving.cli import main

main(prog_name="inlier")
