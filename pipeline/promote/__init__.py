"""A release: what one environment tested goes to the next one as it is; and the way back."""
