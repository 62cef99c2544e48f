"""The scenario files that ship with ketwire."""
