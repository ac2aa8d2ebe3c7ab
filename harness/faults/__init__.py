"""The kinds of harm, one family a file; each leaves a receipt."""
