"""What a comparison is given: features, predictions, selections and names of arms."""
