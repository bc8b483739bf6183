//! The loopback door: plain HTTP for the owner's own machine, and for nobody else.
