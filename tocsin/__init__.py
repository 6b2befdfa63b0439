"""What two or more roles share: policy, store and runtime."""
