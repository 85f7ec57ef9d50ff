"""The rules, a module for each idea; importing one registers its rules."""
