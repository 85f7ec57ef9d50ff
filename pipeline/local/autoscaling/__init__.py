"""Application Auto Scaling of the local target: endpoints get more and fewer processes by their load.

service.py   the operations, on the wire        targets.py   what is registered, and its activities
scaler.py    the loop that looks and acts       tracking.py  how many instances a load calls for
"""
