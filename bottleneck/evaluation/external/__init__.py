"""External validation: heads tested on another data set than they were trained on."""
