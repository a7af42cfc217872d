//! The functions on AWS.
