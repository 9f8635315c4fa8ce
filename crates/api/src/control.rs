//! What is said through a sandbox's control socket.
