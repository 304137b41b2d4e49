"""What protects a stack: keys, networks, trust, and the reasons for what a rule would find."""
