"""Its fixtures of package scope end with this folder's tests."""
