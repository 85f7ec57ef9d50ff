"""What a pipeline costs: prices with their source and date, and a rendered template read for what it uses."""
