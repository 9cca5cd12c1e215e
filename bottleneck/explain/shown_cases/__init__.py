"""The images of cases, their maps, and the training images nearest to them."""
