"""Cases of the operators that move, gather or sum over places."""
