"""SMS: text as carriers take it, what a carrier sends, and inbound SMS sealed to an account."""
