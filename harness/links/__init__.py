"""TCP paths between a service and a store that can be harmed."""
