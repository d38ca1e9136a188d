//! Ways to the service.
