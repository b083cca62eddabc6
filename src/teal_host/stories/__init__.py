"""What one types, as stories: each reads from top to bottom as what happens."""
