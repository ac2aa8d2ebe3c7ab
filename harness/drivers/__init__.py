"""What starts a stack: containers, or plain local processes, behind one protocol."""
