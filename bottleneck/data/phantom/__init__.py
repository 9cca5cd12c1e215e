"""The embedded data set: simulated thyroid ultrasound images."""
