"""Training, and what makes model files of what was trained."""
