"""Health of a replica, and of the work: what is overdue, and what will never move by itself."""
