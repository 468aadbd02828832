"""`python -m timelinelabels`."""

from timelinelabels.cli import main

if __name__ == "__main__":
    main()
