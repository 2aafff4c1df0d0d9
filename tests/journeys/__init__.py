"""What crosses rooms, with the real processes over the real link."""
