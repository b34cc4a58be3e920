"""`python -m skgan`: the command line, as `skgan` is."""

from .cli import main

if __name__ == "__main__":
    main()
