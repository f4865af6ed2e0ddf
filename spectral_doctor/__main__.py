"""`python -m spectral_doctor` is `spectral-doctor`."""

from spectral_doctor.cli import main

if __name__ == "__main__":
    main()
