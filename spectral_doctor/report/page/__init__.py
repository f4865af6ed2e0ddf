"""The report as one HTML file that people look at: self-contained, and open to keyboard and screen reader."""

from spectral_doctor.report.page.document import render_page

__all__ = ["render_page"]
