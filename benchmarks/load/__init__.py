"""Many submissions at once, many active ones, and single ones among them."""
