"""One process for each party and fiber: who starts them, what they say to each other, and what keeps strangers out.

`scenarios` imports `run` and `by_hand`; the inline runtime needs none of it.
"""
