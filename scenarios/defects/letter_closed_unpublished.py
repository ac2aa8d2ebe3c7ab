"""A dead letter is closed although its message could not be published."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="letter_closed_unpublished",
    title="a message that is put back counts as published",
    plants=("letter_closed_unpublished",),
    nets_removed=("the letter that stays open until its message is in the queue",),
)
