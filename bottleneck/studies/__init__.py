"""Published studies, each a file that names one whole flow and the figures it is held against."""
