"""VEEGAN: a reconstructor, a discriminator of pairs, their objective, and the diagnosis that needs no training of G."""
