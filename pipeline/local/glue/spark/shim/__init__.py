"""Put on a run's path: what a Glue script imports that no open package has."""
