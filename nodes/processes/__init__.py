"""One process for each party and fiber: who starts them, what they say to each other, and what keeps strangers out.

`scenarios` imports `run`, `by_hand`, `security` and `interpreters`. The inline runtime imports `interpreters` alone.
"""
