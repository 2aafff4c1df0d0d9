"""How the shipped detector is made: taught by the public one's finds, on mosaics of photographs at many sizes."""
