"""What a case is made of: clocks, the ladder, approvals."""
