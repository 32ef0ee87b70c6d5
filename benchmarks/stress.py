"""Random designs, fitted and checked: `python benchmarks/stress.py --minutes 10 --seed 7`; see `stress/main.py`."""

from stress.main import main

if __name__ == "__main__":
    main()
