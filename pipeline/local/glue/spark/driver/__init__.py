"""What runs in the driver's own interpreter, before and after the script; it imports nothing of ours."""
