"""What four users type until they have their answer, and how long that takes."""
