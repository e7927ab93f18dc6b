"""Acting on duplicates, and taking it back: plan, apply, undo, recover."""
