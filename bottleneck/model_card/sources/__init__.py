"""What a card is made of: facts of the model, its arm in the results, and the card's record."""
