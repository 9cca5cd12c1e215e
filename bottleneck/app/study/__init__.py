"""The tab that leads from a folder of pictures to a report and a model."""
