"""Pictures that go on while what they show does."""
