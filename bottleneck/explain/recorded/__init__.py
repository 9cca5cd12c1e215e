"""What a comparison recorded: its arms, its folds, and the head of each fold fitted again."""
