"""Decides by named metrics of the held-out evaluation whether a model may go on."""
