"""One scenario, from the gate to its record: what it holds in its hands, and the waits and demands of every life."""
