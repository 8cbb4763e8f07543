"""What both passes share."""
