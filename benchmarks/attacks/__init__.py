"""How strong each attack is, and what FCT finds of it along the epochs of L_intra."""
