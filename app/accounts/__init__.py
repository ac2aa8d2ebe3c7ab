"""Users, their devices, device tokens and verification codes."""
