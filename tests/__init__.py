"""The project's tests, one package so that they share their helpers."""
