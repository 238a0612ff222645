"""Measurements, each as a ratio to a yardstick in the same run. `make bench`; nothing here is a timed test."""
