"""How sure the model is of its answers and of the places that it points at.

A confidence is about one thing, and its kind says what:

    yes_no     the answer to a yes/no question, scored against the other one
    multiple   the answer to a question with choices, scored against the other choices
    text       any other answer, and the words of a report
    box        the box of an entity
    mask       the mask of an entity
"""

KINDS = ("yes_no", "multiple", "text", "box", "mask")
