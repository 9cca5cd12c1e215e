"""Cases: the samples that an arm misclassifies, and the training images nearest to each."""
