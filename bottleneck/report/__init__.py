"""What a comparison looks like on paper: tables, figures, and one page that shows them."""
