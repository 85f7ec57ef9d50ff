"""What the AWS services that we write ourselves share: their protocol, its validation, policies, records."""
