"""Do trained departments behave as theory says?"""
