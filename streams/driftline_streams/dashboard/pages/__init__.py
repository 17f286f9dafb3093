"""The pages: what is asked, where it is shown, and how it is kept fresh."""
