"""Load on the stack, played by Locust in processes of its own; `make load` starts them, docs/load.md explains."""
