"""What RxPY lacks: hot streams, holds, a scheduler. It knows no socket."""
