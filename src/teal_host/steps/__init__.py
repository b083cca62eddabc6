"""The steps that the stories are made of."""
