#!/bin/sh
# Print the path of a Python of the version $1: one on PATH, or one of pyenv's.
for candidate in "python$1" $(ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python 2>/dev/null | sort -rV); do
    "$candidate" -c "" 2>/dev/null && command -v "$candidate" && exit 0
done
echo "There is no Python $1 on PATH or in pyenv." >&2
exit 1
