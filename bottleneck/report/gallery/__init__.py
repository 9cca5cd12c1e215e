"""Images on the page: errors with their nearest training images, and findings of the audit."""
