"""The hazard catalogue as tests, one file per family; `lab chaos` plays them."""
