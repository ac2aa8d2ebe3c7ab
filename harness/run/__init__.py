"""One run: which plans are played, in lanes side by side, and what became of all of them."""
