"""Join: labels meet the predictions they are about, and become outcomes."""
