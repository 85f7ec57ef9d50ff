"""Finds the data of a day (or a window of days) and says whether it is new."""
