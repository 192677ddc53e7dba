"""How old what a reader has is: each policy, through each proxy, over time."""
