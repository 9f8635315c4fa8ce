"""Other programs that do part of what Creel does, set up to do it as well as they can."""
