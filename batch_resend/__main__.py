"""`python -m batch_resend`."""

from batch_resend.cli import main

main()
