"""What the compatibility and fault tests share."""
