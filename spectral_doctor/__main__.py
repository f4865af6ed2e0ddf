"""`python -m spectral_doctor` is `spectral-doctor`.

A worker process imports this module again, as the one that its parent was started with; so the command line is not
imported with it.
"""


def main() -> None:
    """Run the command line."""
    from spectral_doctor.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
