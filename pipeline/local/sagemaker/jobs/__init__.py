"""What training and processing jobs share: data in, artifacts out, logs, failure reasons, worker threads."""
