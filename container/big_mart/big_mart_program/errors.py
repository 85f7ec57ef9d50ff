"""What is wrong with a model that was given; the text is for people."""


class BadModel(Exception):
    """The model cannot be loaded, or is none of this program's."""
