"""What runs, and why: from an endpoint back to the commit, and what differs from the repository."""
