"""python -m teal"""

from teal.cli import main

if __name__ == "__main__":
    main()
