"""The subcommands of `lab`, one a file."""
