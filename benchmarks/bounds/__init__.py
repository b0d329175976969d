"""Images/s of whole training stages and of scoring, over bare loops of the same networks."""
