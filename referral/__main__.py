"""`python -m referral` is the command `referral`."""

from referral.cli import main

if __name__ == "__main__":
    main()
