"""What is known about families of VAEs beyond their interface."""
