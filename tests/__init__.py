"""The tests are a package of their own: a dependency installs another one named tests."""
