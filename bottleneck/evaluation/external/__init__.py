"""External validation: heads tested on a data set that they were not trained on."""
