"""A dead letter is published by each re-drive."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="letter_published_twice",
    title="a dead letter that was re-driven is published again",
    plants=("letter_published_twice",),
    nets_removed=("dead letters that know that they were re-driven",),
)
