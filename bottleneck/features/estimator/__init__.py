"""A frozen network as an estimator of scikit-learn: images in, rows out."""
