"""How the shipped embedder is made: the public one as a function, learnt on faces seen by a street camera."""
