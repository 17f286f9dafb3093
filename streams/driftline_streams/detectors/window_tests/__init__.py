"""Is a test window different from the reference, and does it matter: all tests of it, and who explains a finding."""
