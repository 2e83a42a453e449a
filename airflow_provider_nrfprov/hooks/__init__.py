"""The hook of nRF Cloud, and how its connection is read and tested."""
